"""Answers that are programs: scored, stored, and told to be unavailable where none runs."""

from __future__ import annotations

import pyarrow as pa
import pytest
from peftbench.engine.rescore import answers_again
from peftbench.engine.scored import Scored

from peftbench import tasks
from peftbench.evaluation.predict import Output
from peftbench.evaluation.programs import Execution
from peftbench.evaluation.sandbox import Bubblewrap, Unprotected
from peftbench.evaluation.score import grade
from peftbench.spec.frozen import canonical_json

TASK = tasks.get("apps")
EXAMPLE = TASK.to_example(TASK.example_row)
RIGHT = "```python\nprint(int(input()) + int(input()))\n```\nThis adds."
WRONG = "print(8)"


def scored(*outputs: tuple[str, ...], execution: Execution | None) -> Scored:
    """The example row, answered by each of `outputs`: greedy text first, then samples."""
    written = [
        Output(text=text, answer=TASK.read_answer(text), samples=samples)
        for text, *rest in outputs
        for samples in [tuple(rest)]
    ]
    return Scored(TASK, [EXAMPLE] * len(outputs), written, execution=execution)


def values(one: Scored) -> dict[str, float]:
    return {score.metric: score.value for score in one.scores()}


def test_programs_are_run_and_the_headline_comes_first(sandbox: Bubblewrap) -> None:
    one = scored(
        (RIGHT,), (WRONG,), ("",), ("while True: pass",), execution=Execution(sandbox)
    )
    found = values(one)
    assert next(iter(found)) == "pass_at_1"
    assert found["pass_at_1"] == 0.25
    assert one.verdicts is not None
    assert one.verdicts.first == ("passed", "wrong answer", "no program", "too slow")
    assert list(one.grade.rows) == [1.0, 0.0, 0.0, 0.0]
    assert one.grade.unavailable == ()
    assert "pass_at_5" not in found, "nobody asked for samples"


def test_samples_are_judged_for_pass_at_k(sandbox: Bubblewrap) -> None:
    one = scored(
        (WRONG, RIGHT, *[WRONG] * 4), (RIGHT, *[RIGHT] * 5), execution=Execution(sandbox)
    )
    found = values(one)
    assert found["pass_at_1"] == 0.5
    assert found["pass_at_5"] == 1.0
    assert "pass_at_10" not in found, "there are five samples"
    assert one.verdicts is not None
    assert one.verdicts.others[0] == ("passed", *["wrong answer"] * 4)


NONE = Execution(None, "Programs cannot be run safely: no bwrap. Install bubblewrap.")


def test_without_a_sandbox_the_headline_is_unavailable_and_not_zero() -> None:
    one = scored((RIGHT, *[RIGHT] * 5), execution=NONE)
    found = values(one)
    assert "pass_at_1" not in found
    assert "pass_at_5" not in found
    assert found["chrf"] > 0.9
    assert [(m.metric, m.is_headline) for m in one.grade.unavailable] == [
        ("pass_at_1", True),
        ("pass_at_5", False),
    ]
    assert "Install bubblewrap" in one.grade.unavailable[0].reason
    assert list(one.grade.rows) == [None]


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
    assert values(scored((RIGHT,), execution=unsafe))["pass_at_1"] == 1.0


def test_where_the_sandbox_works_it_is_used_also_by_those_who_would_do_without(
    sandbox: Bubblewrap,
) -> None:
    assert Execution.here(unsafe=True).runner == sandbox


def test_predictions_hold_samples_and_verdicts(sandbox: Bubblewrap) -> None:
    from peftbench.encoding.encode import Encoder
    from peftbench.models import resolve
    from peftbench.models._load import load
    from peftbench.spec import ModelChoice

    base = load(resolve(ModelChoice(name="tiny")), "float32")
    encoder = Encoder(base.tokenizer, chat_template=False, stop_ids=(0,))
    one = scored((RIGHT, WRONG), execution=Execution(sandbox))
    (row,) = one.predictions(encoder)
    assert (row.verdict, row.samples) == ("passed", (WRONG,))
    assert row.sampled_verdicts == ("wrong answer",)
    (row,) = scored((RIGHT, WRONG), execution=NONE).predictions(encoder)
    assert (row.verdict, row.samples, row.sampled_verdicts) == (None, (WRONG,), ())
    assert row.score is None


def test_other_tasks_have_no_programs() -> None:
    task = tasks.get("conala")
    example = task.to_example(task.example_row)
    one = Scored(task, [example], [Output("pens.reverse()", "pens.reverse()")])
    assert one.verdicts is None
    assert one.grade.unavailable == ()
    assert values(one)["chrf"] == pytest.approx(1.0)


def _table(one: Scored) -> pa.Table:
    """The rows as a store gives them back."""
    verdicts = one.verdicts
    return pa.Table.from_pylist(
        [
            {
                "output": output.text,
                "answer": output.answer,
                "target": EXAMPLE.target,
                "group": EXAMPLE.group,
                "references": list(EXAMPLE.references),
                "extra": canonical_json(dict(EXAMPLE.extra)),
                "samples": list(output.samples),
                "verdict": verdicts.first[i] if verdicts else None,
                "sampled_verdicts": list(verdicts.others[i]) if verdicts else [],
            }
            for i, output in enumerate(one.outputs)
        ]
    )


def _read(raw: str, _extra: object) -> str | None:
    return TASK.read_answer(raw)


def test_scoring_again_runs_what_could_not_be_run(sandbox: Bubblewrap) -> None:
    stored = _table(scored((RIGHT, *[WRONG] * 5), (WRONG, *[WRONG] * 5), execution=NONE))
    with pytest.raises(ValueError, match="cannot be run safely"):
        answers_again(TASK, stored, _read, NONE)
    graded = grade(TASK, answers_again(TASK, stored, _read, Execution(sandbox)))
    found = {score.metric: score.value for score in graded.scores}
    assert (found["pass_at_1"], found["pass_at_5"]) == (0.5, 0.0)
    assert list(graded.rows) == [1.0, 0.0]


def test_scoring_again_takes_stored_verdicts_and_runs_nothing(sandbox: Bubblewrap) -> None:
    stored = _table(scored((RIGHT,), (WRONG,), execution=Execution(sandbox)))
    graded = grade(TASK, answers_again(TASK, stored, _read, NONE))
    found = {score.metric: score.value for score in graded.scores}
    assert found["pass_at_1"] == 0.5
    assert "pass_at_5" not in found
