"""A store as plain files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from peftbench.errors import StoreError
from peftbench.spec import TestSet
from peftbench.store import Record, Store
from peftbench.store.export import export
from peftbench.testing import results as made

HANS = TestSet(name="hans", version=1, data="sha256:1")
FIRST, ROBUST, FAILED, OTHER = (
    made.planned(1),
    made.planned(2, perturbed=(HANS,)),
    made.planned(3),
    made.planned(4, task="rte"),
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "store") as opened:
        for one in (FIRST, ROBUST, OTHER):
            made.commit(opened, one, 0.75)
        train = FAILED.cell.train
        assert train is not None
        failed = made.trained(status="oom", error="It was too large.\nTry less.")
        opened.results.commit(None, train, failed)
        opened.results.commit(None, made.grade(FIRST.cell.predict(), "2"), made.graded(0.8))
        for cost in (made.cost(FIRST), made.cost(made.planned(model="else"))):
            opened.results.commit(None, cost.step, cost)
        cells = [FIRST, ROBUST, FAILED, made.planned(9)]
        opened.add_benchmark("b", origin="o", spec={}, cells=cells)
        opened.add_benchmark("other", origin="o", spec={}, cells=[OTHER, FIRST])
        yield opened


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_everything_is_written(store: Store, tmp_path: Path) -> None:
    out = tmp_path / "a" / "b"
    assert [path.name for path in export(store, out)] == [
        "records.jsonl",
        "costs.jsonl",
        "scores.parquet",
        "predictions.parquet",
        "steps.jsonl",
    ]
    records = [Record.model_validate(one) for one in lines(out / "records.jsonl")]
    assert {one.cell.id: one for one in records} == store.records(
        [FIRST, ROBUST, FAILED, OTHER]
    )
    steps = lines(out / "steps.jsonl")
    costs = [one for one in steps if one["kind"] == "measure"]
    assert len(steps) == 3 + 1 + 5 + 1 + 3 + 1
    assert len(costs) == len(lines(out / "costs.jsonl")) == 1
    stored = store.results.by_id(one["id"] for one in steps)
    assert [one["files"] for one in steps] == [stored[one["id"]].digests for one in steps]
    assert [one["outcome"] for one in steps] == [
        stored[one["id"]].outcome.model_dump(mode="json") for one in steps
    ]


def test_scores_have_a_row_for_each_benchmark_cell_test_set_and_metric(
    store: Store, tmp_path: Path
) -> None:
    export(store, tmp_path / "out")
    rows = pq.read_table(tmp_path / "out" / "scores.parquet").to_pylist()
    told = {(r["benchmark"], r["cell"], r["test_set"]): r for r in rows}
    assert len(rows) == len(told) == 5
    first = told["b", FIRST.cell.id, "test"]
    expected = {
        "model": "tiny", "method": "lora", "task": "sst2", "seed": 1, "protocol": "strict",
        "kind": "run", "status": "finished", "metric": "accuracy", "value": 0.8,
        "standard_error": 0.01, "examples": 2, "unit": "fraction correct",
        "better": "higher", "is_headline": True, "trainable_parameters": 1000, "error": None,
    }  # fmt: skip
    assert first.items() >= expected.items(), "the newest grade is the one in force"
    assert told["other", FIRST.cell.id, "test"]["value"] == 0.8
    failed = told["b", FAILED.cell.id, None]
    assert failed["status"] == "oom"
    assert failed["value"] is None
    assert failed["error"].startswith("It was too large.")


def test_predictions_have_every_row_of_every_test_set(store: Store, tmp_path: Path) -> None:
    export(store, tmp_path / "out")
    rows = pq.read_table(tmp_path / "out" / "predictions.parquet").to_pylist()
    told = [(one["cell"], one["test_set"], one["row"]) for one in rows]
    wanted = [(FIRST, "test"), (ROBUST, "test"), (ROBUST, "hans"), (OTHER, "test")]
    assert sorted(told) == sorted(
        (cell.cell.id, name, row) for cell, name in wanted for row in (0, 1)
    )
    assert {
        (one["output"], one["answer"]) for one in rows if one["cell"] == FIRST.cell.id
    } == {
        ("yes", None),
        ("what?", None),
    }, "the newest grade has no marks"
    assert {one["answer"] for one in rows if one["cell"] == OTHER.cell.id} == {"yes", None}


def test_one_benchmark_is_written_alone(store: Store, tmp_path: Path) -> None:
    made.commit(store, made.planned(5, model="else"))
    store.add_benchmark("else", origin="o", spec={}, cells=[made.planned(5, model="else")])
    export(store, tmp_path / "out", "else")
    [record] = lines(tmp_path / "out" / "records.jsonl")
    assert record["cell"]["seed"] == 5
    [cost] = lines(tmp_path / "out" / "costs.jsonl")
    assert cost["model"] == "else"
    assert len(lines(tmp_path / "out" / "steps.jsonl")) == 4


def test_benchmark_without_results_has_no_predictions(store: Store, tmp_path: Path) -> None:
    store.add_benchmark("new", origin="o", spec={}, cells=[made.planned(9, model="new")])
    names = [path.name for path in export(store, tmp_path / "out", "new")]
    assert "predictions.parquet" not in names
    assert pq.read_table(tmp_path / "out" / "scores.parquet").num_rows == 0


def test_unknown_benchmark_is_refused(store: Store, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="holds no benchmark called 'x'"):
        export(store, tmp_path / "out", "x")
    with (
        Store.open(tmp_path / "empty") as empty,
        pytest.raises(StoreError, match="holds no benchmark"),
    ):
        export(empty, tmp_path / "out")


def test_altered_predictions_are_not_written(store: Store, tmp_path: Path) -> None:
    result = store.results.by_id([OTHER.cell.id])[OTHER.cell.id]
    path = store.results.file(result, "predictions.parquet")
    assert path is not None
    path.write_bytes(b"x")
    with pytest.raises(StoreError, match="altered"):
        export(store, tmp_path / "out")
