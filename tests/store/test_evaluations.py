"""Evaluations: written once, beside the record, never instead of it."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from peftbench.errors import StoreError
from peftbench.evaluation.scores import Constant, PerturbedScores
from peftbench.spec import Cell
from peftbench.store import (
    Evaluated,
    Evaluation,
    Prediction,
    Record,
    Store,
    TestSet,
    Worker,
    write_predictions,
)
from store.parts import cell, manifest, score

HANS = TestSet(name="hans", version=1, data="sha256:1")


def evaluation(of: Cell, value: float = 0.5, test_set: TestSet = HANS) -> Evaluation:
    return Evaluation(
        cell_id=of.id,
        test_set=test_set,
        manifest=manifest(),
        comparison=PerturbedScores(
            scores=(score(value),),
            constant=Constant(answer="no", value=0.5),
            clean=score(0.8),
            clean_constant=Constant(answer="no", value=0.6),
        ),
    )


def write(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_predictions(
        folder / "predictions.parquet",
        [
            Prediction(
                row=0, prompt_sha256="x", prompt="p", output="no", answer="no", target="no",
                score=1.0, likelihood_answer="no", label_log_likelihoods=(-0.1, -2.0),
            )
        ],
    )  # fmt: skip


def evaluated(store: Store, one: Evaluation) -> Evaluated:
    folder = store.evaluations.staging(one.cell_id) / one.id
    write(folder)
    return Evaluated(one, folder)


def commit(store: Store, of: Cell, *further: Evaluation, adapter: bool = False) -> None:
    lease = store.claim([of.id], Worker.here(), lease_seconds=60)
    assert lease is not None
    staging = store.staging(lease)
    write(staging)
    if adapter:
        (staging / "adapter").mkdir()
        (staging / "adapter" / "adapter_config.json").write_text("{}")
    record = Record(cell=of, status="finished", manifest=manifest(), scores=(score(0.8),))
    store.commit(lease, record, staging, [evaluated(store, one) for one in further])


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path / "store")


def test_evaluations_come_with_the_record_in_one_transaction(store: Store) -> None:
    one = evaluation(cell())
    commit(store, cell(), one)
    assert store.evaluations.by_cell([cell().id]) == {cell().id: [one]}
    table = store.evaluations.predictions(one)
    assert table is not None
    assert table.column("answer").to_pylist() == ["no"]
    assert store.evaluations.by_cell([cell(seed=2).id]) == {}


def test_evaluations_are_added_later_and_the_record_stays(store: Store) -> None:
    commit(store, cell())
    before = store.records()
    store.evaluations.add([evaluated(store, evaluation(cell()))])
    assert store.records() == before
    assert len(store.evaluations.by_cell([cell().id])[cell().id]) == 1


def test_first_answer_to_a_question_stays(store: Store) -> None:
    commit(store, cell())
    store.evaluations.add([evaluated(store, evaluation(cell(), 0.5))])
    store.evaluations.add([evaluated(store, evaluation(cell(), 0.7))])
    (kept,) = store.evaluations.by_cell([cell().id])[cell().id]
    assert kept.comparison is not None
    assert kept.comparison.scores[0].value == 0.5
    assert store.evaluations.predictions(kept) is not None


def test_other_rows_or_another_version_are_another_question() -> None:
    one = evaluation(cell())
    other_rows = evaluation(cell(), test_set=HANS.model_copy(update={"data": "sha256:3"}))
    newer = evaluation(cell(), test_set=HANS.model_copy(update={"version": 2}))
    other_cell = evaluation(cell(seed=2))
    assert len({e.id for e in (one, other_rows, newer, other_cell)}) == 4
    assert one.id == evaluation(cell(), 0.9).id, "the outcome is no part of the question"


def test_forgotten_cell_takes_its_evaluations_along(store: Store) -> None:
    one, other = evaluation(cell()), evaluation(cell(seed=2))
    commit(store, cell(), one)
    commit(store, cell(seed=2), other)
    store.forget([cell().id])
    assert list(store.evaluations.by_cell([cell().id, cell(seed=2).id])) == [
        cell(seed=2).id
    ]
    folders = [path.name for path in (store.folder / "evaluations").iterdir()]
    assert folders == [other.id]


def test_altered_predictions_are_refused(store: Store) -> None:
    one = evaluation(cell())
    commit(store, cell(), one)
    path = store.folder / "evaluations" / one.id / "predictions.parquet"
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(StoreError, match=r"was altered.*--retry"):
        store.evaluations.predictions(one)


def test_only_a_kept_and_whole_adapter_is_handed_out(store: Store) -> None:
    commit(store, cell(), adapter=True)
    commit(store, cell(seed=2))
    folder = store.evaluations.adapter(cell().id)
    assert folder is not None
    assert (folder / "adapter_config.json").is_file()
    assert store.evaluations.adapter(cell(seed=2).id) is None
    assert store.evaluations.adapter("unknown") is None
    (folder / "adapter_config.json").write_text('{"r": 1}')
    with pytest.raises(StoreError, match="not the adapter that was scored"):
        store.evaluations.adapter(cell().id)


def test_crash_before_the_rows_leaves_no_evaluation(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("peftbench.store._store.insert", die)
        with pytest.raises(KeyboardInterrupt):
            commit(store, cell(), evaluation(cell()))
    assert store.records() == {}
    assert store.evaluations.by_cell([cell().id]) == {}


def test_store_of_before_gets_the_table_when_opened(store: Store) -> None:
    store.close()
    with sqlite3.connect(store.folder / "store.sqlite") as connection:
        connection.execute("drop table evaluations")
    again = Store.open(store.folder)
    assert again.evaluations.by_cell([cell().id]) == {}
