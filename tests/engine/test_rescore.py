"""Scoring again from stored predictions: the same code gives the same numbers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from peftbench.engine.rescore import answers_again, rescore

from peftbench import api, tasks
from peftbench.cli.show import show
from peftbench.errors import StoreError
from peftbench.evaluation import metrics
from peftbench.evaluation.metrics import Answers, accuracy
from peftbench.evaluation.score import grade
from peftbench.evaluation.scores import Baseline
from peftbench.manifest import Manifest
from peftbench.spec import Cell, CellMethod, CellModel, CellTask, Limits
from peftbench.store import (
    PlannedCell,
    Prediction,
    Record,
    Store,
    Worker,
    predictions_file,
    write_predictions,
)

MANIFEST = Manifest(
    started_at="t", finished_at="t", host="h", platform="p", device="cpu", threads=1,
    packages={}, git_commit=None, git_dirty=None, initial_adapter_sha256=None,
    chat_template=False,
)  # fmt: skip


def cell(task: str) -> Cell:
    return Cell(
        model=CellModel(name="tiny", identity="sha256:0", dtype="auto", chat_template=True),
        method=CellMethod(name="lora", parameters={}),
        task=CellTask(name=task, version=1, data="sha256:0"),
        seed=1,
        training=None,
        max_length=64,
        limits=Limits(),
        protocol="strict",
    )


def keep(
    store: Store, task: str, rows: Sequence[tuple[str, str]], *, likely: str | None = None
) -> Record:
    """A finished cell with these outputs and targets, scored as a run scores it."""
    found, one = tasks.get(task), cell(task)
    predicted = [found.read(output) for output, _ in rows]
    targets = [target for _, target in rows]
    references = [(target,) for target in targets]
    answers = Answers(
        predicted=predicted,
        targets=targets,
        labels=found.labels,
        groups=[None] * len(rows),
        references=references,
        extras=[{}] * len(rows),
    )
    graded = grade(found, answers)
    record = Record(
        cell=one,
        status="finished",
        manifest=MANIFEST,
        scores=graded.scores,
        baselines=(
            Baseline(
                name="majority class",
                answer=targets[0],
                value=metrics.get(found.headline).score(
                    replace(answers, predicted=[targets[0]] * len(rows))
                ),
            ),
        ),
    )
    lease = store.claim([one.id], Worker.here(), lease_seconds=60)
    assert lease is not None
    staging = store.staging(lease)
    write_predictions(
        staging / predictions_file(),
        [
            Prediction(
                row=i, prompt_sha256="", prompt=None, output=output, answer=answer,
                target=target, score=value, likelihood_answer=likely,
                label_log_likelihoods=None, references=(target,),
            )
            for i, ((output, target), answer, value) in enumerate(
                zip(rows, predicted, graded.rows, strict=True)
            )
        ],
    )  # fmt: skip
    store.commit(lease, record, staging)
    store.add_benchmark(
        "b", origin="test", spec={}, cells=[PlannedCell(one, "tiny", "lora")]
    )
    return record


RTE = [("yes", "yes"), ("No.", "no"), ("yes", "no"), (" NO\n", "no"), ("perhaps", "yes")]
ROWS = {
    "rte": RTE,
    "stsb": [("3.8", "4.0"), ("1", "0.5"), ("nothing", "2.0"), ("4.4", "5.0")],
    "gsm8k": [("3 + 4\n#### 7", "7"), ("#### 1,200", "1200"), ("8", "8")],
    "record": [("the Oslo", "Oslo"), ("Bergen town", "Bergen")],
    "conala": [("```python\nx = 1\n```", "x = 1"), ("y", "x = 2")],
}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path / "store")


@pytest.mark.parametrize("task", ROWS)
def test_unchanged_code_gives_identical_scores_and_stores_nothing(
    store: Store, task: str
) -> None:
    record = keep(store, task, ROWS[task])
    (found,) = rescore(store, [record.cell.id])
    assert (found.reason, found.is_changed) == ("", False)
    assert found.new == record.scores
    assert store.rescorings.by_cell([record.cell.id]) == {}


def test_the_order_of_rows_is_of_no_account(tmp_path: Path) -> None:
    scores = []
    for place, rows in enumerate((RTE, RTE[::-1])):
        store = Store.open(tmp_path / str(place))
        keep(store, "rte", rows)
        (found,) = rescore(store, store.records())
        scores.append({score.metric: score.value for score in found.new})
    assert scores[0] == scores[1]


@pytest.fixture
def generous(monkeypatch: pytest.MonkeyPatch) -> None:
    """An accuracy that counts what could not be read as right."""
    metric = metrics.get("accuracy")

    def per_row(answers: Answers) -> list[float]:
        pairs = zip(answers.predicted, answers.targets, strict=True)
        return [float(p is None or p == t) for p, t in pairs]

    changed = replace(
        metric, per_row=per_row, score=lambda a: sum(per_row(a)) / len(per_row(a))
    )
    monkeypatch.setattr(accuracy, "METRIC", changed)


@pytest.mark.usefixtures("generous")
def test_a_changed_metric_gives_new_scores_and_leaves_the_record(store: Store) -> None:
    record = _kept_with_the_real_metric(store)
    (found,) = rescore(store, [record.cell.id])
    assert found.is_changed
    assert found.old == record.scores
    assert found.new[0].value == pytest.approx(record.scores[0].value + 2 / 5)
    assert store.record(record.cell.id[:12]) == record
    (kept,) = store.rescorings.by_cell([record.cell.id])[record.cell.id]
    assert kept.scores == found.new
    assert store.rescorings.rows(kept)[4] == 1.0
    (again,) = rescore(store, [record.cell.id])
    assert not again.is_changed
    assert again.new == found.new


@pytest.mark.usefixtures("generous")
def test_reports_show_the_newest_scores_and_show_tells_both(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    record = _kept_with_the_real_metric(store)
    before = api.results(store, "b").summary
    list(rescore(store, [record.cell.id]))
    after = api.results(store, "b").summary
    assert after.rescored_cells == 1
    assert before.rescored_cells == 0
    old, new = before.entries[0].by_seed["1"], after.entries[0].by_seed["1"]
    assert new == pytest.approx(old + 2 / 5)
    show(record.cell.id, store.folder, examples=0, as_json=True)
    said = json.loads(capsys.readouterr().out)
    assert said["scores"][0]["value"] == old
    assert said["rescored"][0]["scores"][0]["value"] == new
    show(record.cell.id, store.folder, examples=0)
    assert "scored again" in capsys.readouterr().out


@pytest.mark.usefixtures("generous")
def test_forgetting_a_cell_forgets_its_new_scores(store: Store) -> None:
    record = _kept_with_the_real_metric(store)
    list(rescore(store, [record.cell.id]))
    store.forget([record.cell.id])
    assert store.rescorings.by_cell([record.cell.id]) == {}
    assert not (store.folder / "rescored" / record.cell.id).exists()


@pytest.mark.usefixtures("generous")
def test_an_altered_file_of_row_scores_is_refused(store: Store) -> None:
    record = _kept_with_the_real_metric(store)
    list(rescore(store, [record.cell.id]))
    (path,) = (store.folder / "rescored").rglob("rows.parquet")
    path.write_bytes(b"x")
    with pytest.raises(StoreError, match=r"altered .* rescore --store"):
        api.results(store, "b")


def test_what_predictions_do_not_give_stays_and_likelihoods_are_graded(
    store: Store,
) -> None:
    record = keep(store, "rte", RTE, likely="no")
    (found,) = rescore(store, [record.cell.id])
    assert found.is_changed  # the record lacks what a run would have stored
    assert {s.metric: s.value for s in found.new}["likelihood_accuracy"] == 0.6


def test_targets_that_are_no_labels_today_are_explained(store: Store) -> None:
    record = keep(store, "rte", RTE)
    with pytest.MonkeyPatch.context() as patch:
        task = replace(tasks.get("rte"), labels=("entailment", "not_entailment"))
        patch.setattr("peftbench.tasks.rte.TASK", task)
        (found,) = rescore(store, [record.cell.id])
    assert "Its targets are no, yes; the task's labels are" in found.reason
    assert found.new == record.scores


@pytest.mark.parametrize(
    ("stored", "value"), [("print(1)", 0.5), ("print(2)", None)], ids=["same", "other"]
)
def test_a_verdict_holds_for_the_program_that_was_run_alone(
    stored: str, value: float | None
) -> None:
    """One that is read otherwise today has to be run, which needs the cell again."""
    rows = [
        {"output": "print(1)", "answer": stored, "target": "x", "group": None,
         "references": [], "extra": "{}", "verdict": verdict, "sampled_verdicts": []}
        for verdict in ("passed", "error")
    ]  # fmt: skip
    task = replace(tasks.get("apps"), metrics=("pass_at_1", "parses"))

    def read(raw: str, _extra: object) -> str | None:
        return task.read_answer(raw)

    table = pa.Table.from_pylist(rows)
    if value is None:
        with pytest.raises(ValueError, match="needs verdicts"):
            answers_again(task, table, read)
    else:
        assert grade(task, answers_again(task, table, read)).scores[0].value == value


def test_a_task_that_is_not_installed_is_explained(store: Store) -> None:
    record = keep(store, "rte", RTE)
    with pytest.MonkeyPatch.context() as patch:
        patch.delattr("peftbench.tasks.rte.TASK")
        (found,) = rescore(store, [record.cell.id])
    assert "defines no TASK" in found.reason


def _kept_with_the_real_metric(store: Store) -> Record:
    changed = accuracy.METRIC
    accuracy.METRIC = replace(changed, per_row=accuracy.per_row, score=accuracy.score)
    try:
        return keep(store, "rte", RTE)
    finally:
        accuracy.METRIC = changed
