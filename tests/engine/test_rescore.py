"""Scoring again from stored predictions: the same code gives the same numbers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from command_line import peftbench
from peftbench import tasks
from peftbench.cli.show import show
from peftbench.engine.grade import grade
from peftbench.engine.regrade import Regraded, regrade
from peftbench.evaluation import metrics
from peftbench.evaluation.metrics import Answers, accuracy
from peftbench.evaluation.rows import Prediction
from peftbench.evaluation.score import task_facts
from peftbench.evaluation.scores import Baseline
from peftbench.planning import wanted
from peftbench.results import results
from peftbench.spec import Cell, CellMethod, CellModel, CellTask, Limits, Training
from peftbench.store import (
    PlannedCell,
    Predicted,
    Record,
    Store,
    row_scores,
    write_marks,
    write_predictions,
)
from peftbench.testing.results import manifest, trained


def planned(task: str) -> PlannedCell:
    cell = Cell(
        model=CellModel(
            name="tiny", identity="sha256:0", dtype="float32", chat_template=True
        ),
        method=CellMethod(name="lora", parameters={}),
        task=CellTask(name=task, version=1, data="sha256:0"),
        seed=1,
        training=Training(),
        max_length=64,
        limits=Limits(),
        protocol="strict",
    )
    facts = task_facts(tasks.get(task))
    return PlannedCell(cell=cell, model="tiny", label="lora", task=facts)


def keep(
    store: Store, task: str, rows: Sequence[tuple[str, str]], *, likely: str | None = None
) -> PlannedCell:
    """A finished cell with these outputs and targets, graded as a run grades it."""
    one = planned(task)
    predict = one.cell.predict()
    assert one.cell.train is not None
    store.results.commit(None, one.cell.train, trained())
    staging = store.results.staging(predict.id, store.results.new_token())
    write_predictions(
        staging,
        [
            Prediction(
                row=i, prompt_sha256="", prompt=None, output=output, target=target,
                likelihood_answer=likely, references=(target,),
            )
            for i, (output, target) in enumerate(rows)
        ],
    )  # fmt: skip
    store.results.commit(
        None, predict, Predicted(examples=len(rows), manifest=manifest()), staging
    )
    step = wanted.grade_step(one.cell, predict)
    graded, marks = grade(store.results, predict, step, data=None)
    graded = graded.model_copy(update={"baselines": (_constant(task, rows),)})
    staging = store.results.staging(step.id, store.results.new_token())
    write_marks(staging, marks)
    store.results.commit(None, step, graded, staging)
    store.add_benchmark("b", origin="test", spec={}, cells=[one])
    return one


def _constant(task: str, rows: Sequence[tuple[str, str]]) -> Baseline:
    found = tasks.get(task)
    targets = [target for _, target in rows]
    answers = Answers(
        predicted=[targets[0]] * len(rows),
        targets=targets,
        labels=found.labels,
        groups=[None] * len(rows),
        references=[(target,) for target in targets],
        extras=[{}] * len(rows),
    )
    value = metrics.get(found.headline).score(answers)
    return Baseline(name="majority class", answer=targets[0], value=value)


def record(store: Store, one: PlannedCell) -> Record:
    found = store.record(one)
    assert found is not None
    return found


def again(store: Store, one: PlannedCell) -> Regraded:
    [found] = regrade([one], store.results)
    return found


RTE = [("yes", "yes"), ("No.", "no"), ("yes", "no"), (" NO\n", "no"), ("perhaps", "yes")]
ROWS = {
    "rte": RTE,
    "stsb": [("3.8", "4.0"), ("1", "0.5"), ("nothing", "2.0"), ("4.4", "5.0")],
    "gsm8k": [("3 + 4\n#### 7", "7"), ("#### 1,200", "1200"), ("8", "8")],
    "record": [("the Oslo", "Oslo"), ("Bergen town", "Bergen")],
    "conala": [("```python\nx = 1\n```", "x = 1"), ("y", "x = 2")],
}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "store") as opened:
        yield opened


@pytest.mark.parametrize("task", ROWS)
def test_unchanged_code_gives_identical_scores_and_stores_nothing(
    store: Store, task: str
) -> None:
    one = keep(store, task, ROWS[task])
    before = record(store, one)
    found = again(store, one)
    assert (found.reason, found.is_changed) == ("", False)
    assert found.new == before.scores
    assert record(store, one) == before
    assert len(store.results.of_kind("grade")) == 1
    assert list((store.folder / "staging").iterdir()) == []


def test_the_order_of_rows_is_of_no_account(tmp_path: Path) -> None:
    scores = []
    for place, rows in enumerate((RTE, RTE[::-1])):
        with Store.open(tmp_path / str(place)) as store:
            one = keep(store, "rte", rows)
            scores.append({score.metric: score.value for score in again(store, one).new})
    assert scores[0] == scores[1]


@pytest.fixture
def generous(monkeypatch: pytest.MonkeyPatch) -> None:
    """An accuracy that counts what could not be read as right, and its scorer's digest."""
    metric = metrics.get("accuracy")

    def per_row(answers: Answers) -> list[float]:
        pairs = zip(answers.predicted, answers.targets, strict=True)
        return [float(p is None or p == t) for p, t in pairs]

    changed = replace(
        metric, per_row=per_row, score=lambda a: sum(per_row(a)) / len(per_row(a))
    )
    monkeypatch.setattr(accuracy, "METRIC", changed)
    monkeypatch.setattr(wanted, "scorer_digest", lambda *_a, **_more: "1" * 64)


@pytest.mark.usefixtures("generous")
def test_a_changed_metric_gives_new_scores_and_leaves_the_grade_of_old(
    store: Store,
) -> None:
    one = _kept_with_the_real_metric(store)
    before = record(store, one)
    [old] = store.results.of_kind("grade")
    found = again(store, one)
    assert found.is_changed
    assert found.old == before.scores
    assert found.new[0].value == pytest.approx(before.scores[0].value + 2 / 5)
    [same, new] = store.results.of_kind("grade")
    assert (same.outcome, same.digests) == (old.outcome, old.digests)
    now = record(store, one)
    assert now.scores == found.new
    assert now.times_graded == 2
    assert now.grade == new.step.id
    assert row_scores(store.results, new.step.id)[4] == 1.0
    assert not again(store, one).is_changed
    assert again(store, one).new == found.new


@pytest.mark.usefixtures("generous")
def test_reports_show_the_newest_scores_and_show_tells_both(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    one = _kept_with_the_real_metric(store)
    before = results(store, "b").summary
    again(store, one)
    after = results(store, "b").summary
    assert after.rescored_cells == 1
    assert before.rescored_cells == 0
    old, new = before.entries[0].by_seed["1"], after.entries[0].by_seed["1"]
    assert new == pytest.approx(old + 2 / 5)
    show(one.cell.id, store.folder, examples=0, as_json=True)
    said = json.loads(capsys.readouterr().out)
    assert said["scores"][0]["value"] == new
    assert said["times_graded"] == 2
    assert [grade["scores"][0]["value"] for grade in said["earlier_grades"]] == [old]
    show(one.cell.id, store.folder, examples=0)
    assert "graded before, " in capsys.readouterr().out


@pytest.mark.usefixtures("generous")
def test_forgetting_a_cell_forgets_its_new_scores(store: Store) -> None:
    one = _kept_with_the_real_metric(store)
    again(store, one)
    assert one.cell.train is not None
    store.results.forget([one.cell.train.id])
    assert store.results.step_ids() == []
    assert list((store.folder / "files").iterdir()) == []


@pytest.mark.parametrize("name", ["marks.parquet", "predictions.parquet"])
def test_an_altered_file_costs_its_cell_and_not_the_report(store: Store, name: str) -> None:
    one, other = keep(store, "rte", RTE), keep(store, "boolq", RTE)
    store.add_benchmark("b", origin="test", spec={}, cells=[one, other])
    [file] = [
        path
        for path in store.folder.rglob(name)
        if path.parent.name.startswith((one.cell.id, _grade_id(store, one)))
    ]
    file.write_bytes(b"x")
    summary = results(store, "b").summary
    shown = {entry.task: [*entry.by_seed.values()] for entry in summary.entries}
    assert shown["boolq"] == [0.4]
    if name == "marks.parquet":
        [trouble] = summary.troubles
        assert (trouble.task, trouble.status) == ("rte", "failed")
        assert re.search(r"altered .* --retry", trouble.reason)
        assert not shown.get("rte")
    said = peftbench("report", "--store", str(store.folder), "--format", "md")
    assert said.returncode == 0, said.stderr
    said = peftbench("rescore", "--store", str(store.folder))
    if name == "predictions.parquet":
        assert said.returncode == 1
        assert "rte · seed 1 · test: not scored again" in said.stdout
        assert "0 changed, 1 the same, 1 not scored again" in said.stdout


def _grade_id(store: Store, one: PlannedCell) -> str:
    return store.results.looking_at([one.cell.id], "grade")[one.cell.id][-1].step.id


def test_what_predictions_do_not_give_stays_and_likelihoods_are_graded(
    store: Store,
) -> None:
    one = keep(store, "rte", RTE, likely="no")
    found = again(store, one)
    assert not found.is_changed
    assert {s.metric: s.value for s in found.new}["likelihood_accuracy"] == 0.6


def test_targets_that_are_no_labels_today_are_explained(store: Store) -> None:
    one = keep(store, "rte", RTE)
    before = record(store, one)
    with pytest.MonkeyPatch.context() as patch:
        task = replace(tasks.get("rte"), labels=("entailment", "not_entailment"))
        patch.setattr("peftbench.tasks.rte.TASK", task)
        found = again(store, one)
    assert "Its targets are no, yes; the task's labels are" in found.reason
    assert found.new == before.scores


def test_a_task_that_is_not_installed_is_explained(store: Store) -> None:
    one = keep(store, "rte", RTE)
    with pytest.MonkeyPatch.context() as patch:
        patch.delattr("peftbench.tasks.rte.TASK")
        found = again(store, one)
    assert "defines no TASK" in found.reason


def test_a_grade_that_lacked_a_sandbox_gets_its_headline_from_the_same_scorer(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    from peftbench.evaluation import programs

    task = tasks.get("apps")
    example = task.to_example(task.example_row)
    with monkeypatch.context() as patched:
        patched.setattr(programs, "unavailable", lambda: "there is no 'bwrap' here.")
        one = planned("apps")
        predict = one.cell.predict()
        assert one.cell.train is not None
        store.results.commit(None, one.cell.train, trained())
        staging = store.results.staging(predict.id, store.results.new_token())
        program = "print(int(input()) + int(input()))"
        row = Prediction(
            row=0, prompt_sha256="", prompt=None, output=program, target=example.target,
            group=example.group, references=example.references,
            extra=json.dumps(dict(example.extra)),
        )  # fmt: skip
        write_predictions(staging, [row])
        store.results.commit(None, predict, Predicted(manifest=manifest()), staging)
        step = wanted.grade_step(one.cell, predict)
        graded, marks = grade(store.results, predict, step, data=None)
        staging = store.results.staging(step.id, store.results.new_token())
        write_marks(staging, marks)
        store.results.commit(None, step, graded, staging)
        assert record(store, one).headline is None
        [found] = regrade([one], store.results, unsafe_run_code=True)
        assert found.is_changed
    headline = record(store, one).headline
    assert headline is not None
    assert (headline.metric, headline.value) == ("pass_at_1", 1.0)
    assert record(store, one).manifest.ran_programs_unsafely
    assert [one.step.id for one in store.results.of_kind("grade")] == [step.id]
    assert store.results.contradictions() == []


def _kept_with_the_real_metric(store: Store) -> PlannedCell:
    with pytest.MonkeyPatch.context() as patch:
        real = replace(accuracy.METRIC, per_row=accuracy.per_row, score=accuracy.score)
        patch.setattr(accuracy, "METRIC", real)
        patch.setattr(wanted, "scorer_digest", lambda *_a, **_more: "0" * 64)
        return keep(store, "rte", RTE)
