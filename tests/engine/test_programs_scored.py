"""Answers that are programs: graded, and told to be unavailable where none runs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from peftbench import tasks
from peftbench.evaluation.grading import Grading, Reader
from peftbench.evaluation.programs import Execution
from peftbench.evaluation.rows import Prediction
from peftbench.evaluation.sandbox import Bubblewrap, Unprotected
from peftbench.spec.frozen import canonical_json

TASK = tasks.get("apps")
EXAMPLE = TASK.to_example(TASK.example_row)
RIGHT = "```python\nprint(int(input()) + int(input()))\n```\nThis adds."
WRONG = "print(8)"


def rows(*outputs: tuple[str, ...]) -> list[Prediction]:
    """The example row, answered by each of `outputs`: greedy text first, then samples."""
    return [
        Prediction(
            row=i,
            prompt_sha256="",
            prompt=None,
            output=text,
            target=EXAMPLE.target,
            group=EXAMPLE.group,
            references=EXAMPLE.references,
            extra=canonical_json(dict(EXAMPLE.extra)),
            samples=tuple(samples),
        )
        for i, (text, *samples) in enumerate(outputs)
    ]


def graded(*outputs: tuple[str, ...], execution: Execution | None) -> Grading:
    return Reader(TASK, execution=execution).grade(rows(*outputs))


def values(one: Grading) -> dict[str, float]:
    return {score.metric: score.value for score in one.scores}


def verdicts(one: Grading) -> tuple[str | None, ...]:
    return tuple(mark.verdict for mark in one.marks)


def row_scores(one: Grading) -> list[float | None]:
    return [mark.score for mark in one.marks]


def test_programs_are_run_and_the_headline_comes_first(sandbox: Bubblewrap) -> None:
    one = graded(
        (RIGHT,), (WRONG,), ("",), ("while True: pass",), execution=Execution(sandbox)
    )
    found = values(one)
    assert next(iter(found)) == "pass_at_1"
    assert found["pass_at_1"] == 0.25
    assert verdicts(one) == ("passed", "wrong answer", "no program", "too slow")
    assert row_scores(one) == [1.0, 0.0, 0.0, 0.0]
    assert one.unavailable == ()
    assert "pass_at_5" not in found, "nobody asked for samples"


def test_samples_are_judged_for_pass_at_k(sandbox: Bubblewrap) -> None:
    one = graded(
        (WRONG, RIGHT, *[WRONG] * 4), (RIGHT, *[RIGHT] * 5), execution=Execution(sandbox)
    )
    found = values(one)
    assert found["pass_at_1"] == 0.5
    assert found["pass_at_5"] == 1.0
    assert "pass_at_10" not in found, "there are five samples"
    assert one.marks[0].sampled_verdicts == ("passed", *["wrong answer"] * 4)


NONE = Execution(None, "Programs cannot be run safely: no bwrap. Install bubblewrap.")


def test_without_a_sandbox_the_headline_is_unavailable_and_not_zero() -> None:
    one = graded((RIGHT, *[RIGHT] * 5), execution=NONE)
    found = values(one)
    assert "pass_at_1" not in found
    assert "pass_at_5" not in found
    assert found["chrf"] > 0.9
    assert [(m.metric, m.is_headline) for m in one.unavailable] == [
        ("pass_at_1", True),
        ("pass_at_5", False),
    ]
    assert "Install bubblewrap" in one.unavailable[0].reason
    assert row_scores(one) == [None]


def test_nothing_runs_without_a_sandbox_unless_somebody_asks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from peftbench.evaluation import programs

    monkeypatch.setattr(programs, "unavailable", lambda: "there is no 'bwrap' here.")
    safe, unsafe = Execution.here(unsafe=False), Execution.here(unsafe=True)
    assert safe.runner is None
    assert "no 'bwrap' here" in safe.reason
    assert isinstance(unsafe.runner, Unprotected)
    assert not unsafe.runner.is_safe
    assert values(graded((RIGHT,), execution=unsafe))["pass_at_1"] == 1.0


def test_where_the_sandbox_works_it_is_used_also_by_those_who_would_do_without(
    sandbox: Bubblewrap,
) -> None:
    assert Execution.here(unsafe=True).runner == sandbox


def test_marks_hold_verdicts_on_answers_and_samples(sandbox: Bubblewrap) -> None:
    [mark] = graded((RIGHT, WRONG), execution=Execution(sandbox)).marks
    assert (mark.verdict, mark.sampled_verdicts) == ("passed", ("wrong answer",))
    [mark] = graded((RIGHT, WRONG), execution=NONE).marks
    assert (mark.verdict, mark.sampled_verdicts, mark.score) == (None, (), None)


def test_other_tasks_have_no_programs() -> None:
    task = tasks.get("conala")
    example = task.to_example(task.example_row)
    row = Prediction(
        row=0,
        prompt_sha256="",
        prompt=None,
        output="pens.reverse()",
        target=example.target,
        references=example.references,
    )
    one = Reader(task).grade([row])
    assert verdicts(one) == (None,)
    assert one.unavailable == ()
    assert values(one)["chrf"] == pytest.approx(1.0)


def test_scoring_again_runs_what_could_not_be_run(sandbox: Bubblewrap) -> None:
    outputs = (RIGHT, *[WRONG] * 5), (WRONG, *[WRONG] * 5)
    first = graded(*outputs, execution=NONE)
    again = Reader(TASK, execution=NONE).grade(rows(*outputs), known=first.marks)
    assert "cannot be run safely" in again.unavailable[0].reason
    run = Reader(TASK, execution=Execution(sandbox)).grade(
        rows(*outputs), known=again.marks
    )
    assert (values(run)["pass_at_1"], values(run)["pass_at_5"]) == (0.5, 0.0)
    assert row_scores(run) == [1.0, 0.0]


def test_scoring_again_takes_stored_verdicts_and_runs_nothing(sandbox: Bubblewrap) -> None:
    first = graded((RIGHT,), (WRONG,), execution=Execution(sandbox))
    again = Reader(TASK, execution=NONE).grade(rows((RIGHT,), (WRONG,)), known=first.marks)
    assert values(again)["pass_at_1"] == 0.5
    assert "pass_at_5" not in values(again)
    assert again.marks == first.marks


@pytest.mark.parametrize(
    ("stored", "is_held"), [("print(1)", True), ("print(2)", False)], ids=["same", "other"]
)
def test_a_verdict_holds_for_the_program_that_was_run_alone(
    stored: str, *, is_held: bool
) -> None:
    """One that is read otherwise today has to be run."""
    outputs = ("print(1)",), ("print(1)",)
    first = graded(*outputs, execution=None)
    known = [
        replace(mark, answer=stored, verdict=verdict)
        for mark, verdict in zip(first.marks, ("passed", "error"), strict=True)
    ]
    again = Reader(TASK, execution=NONE).grade(rows(*outputs), known=known)
    if is_held:
        assert values(again)["pass_at_1"] == 0.5
    else:
        assert "pass_at_1" not in values(again)
        assert again.unavailable[0].is_headline
