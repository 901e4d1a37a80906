"""From records to a summary: nothing is averaged over unequal sets."""

from __future__ import annotations

from typing import Any

import pytest

from peftbench.scoring import summarise, to_rows
from peftbench.spec import Cell, CellMethod, CellModel, CellTask, Limits, Training
from peftbench.store import Manifest, PlannedCell, Record, Score

MANIFEST = Manifest(
    started_at="t", finished_at="t", host="h", platform="p", device="cpu", threads=1,
    packages={}, git_commit=None, git_dirty=None, initial_adapter_sha256=None,
    chat_template=False,
)  # fmt: skip


def planned(method: str, task: str, seed: int | None) -> PlannedCell:
    cell = Cell(
        model=CellModel(name="tiny", identity="sha256:0", dtype="auto", chat_template=True),
        method=CellMethod(name=method, parameters={}),
        task=CellTask(name=task, version=1, data="d"),
        seed=seed,
        training=None if seed is None else Training(),
        max_length=64,
        limits=Limits(),
        protocol="strict",
    )
    return PlannedCell(cell, "tiny", method)


def finished(of: PlannedCell, value: float) -> Record:
    scores = tuple(
        Score(name=name, value=number, standard_error=None, examples=4)
        for name, number in (("accuracy", value), ("format_error_rate", 0.0))
    )
    return Record(cell=of.cell, status="finished", manifest=MANIFEST, scores=scores)


def failed(of: PlannedCell) -> Record:
    return Record(
        cell=of.cell, status="oom", manifest=MANIFEST, error="Too large.\nSo it is."
    )


CELLS = [
    planned(method, task, seed)
    for method in ("base", "lora", "ia3")
    for task in ("sst2", "rte")
    for seed in ((None,) if method == "base" else (1, 2))
]
ROWS = {0.0: [0, 0, 0, 0], 0.5: [1, 0, 1, 0], 0.75: [1, 1, 1, 0], 1.0: [1, 1, 1, 1]}


def summary(records: dict[str, Record]) -> Any:
    def row_scores(cell_id: str) -> list[float]:
        return [float(x) for x in ROWS[records[cell_id].scores[0].value]]

    return summarise("b", {"name": "b"}, CELLS, records, [], row_scores)


def test_complete_benchmark_has_means_ranks_and_a_best() -> None:
    values = {"base": 0.0, "lora": 1.0, "ia3": 0.5}
    records = {p.cell.id: finished(p, values[p.label]) for p in CELLS}
    found = summary(records)
    assert {s.method: s.mean_score for s in found.standings} == {
        "base": 0.0, "lora": 100.0, "ia3": 50.0,
    }  # fmt: skip
    assert {s.method: s.average_rank for s in found.standings} == {
        "base": 3.0, "lora": 1.0, "ia3": 2.0,
    }  # fmt: skip
    assert [e.method for e in found.entries if e.is_best] == ["lora", "lora"]
    assert found.troubles == ()
    assert (found.cells, found.finished_cells) == (10, 10)
    base = found.entry("tiny", "base", "sst2")
    assert base.by_seed == {"-": 0.0}
    assert base.interval.half_width is None


@pytest.mark.parametrize("lost", ["missing", "failed"])
def test_method_without_one_seed_is_neither_averaged_nor_ranked(lost: str) -> None:
    records = {p.cell.id: finished(p, 0.5) for p in CELLS}
    victim = next(p for p in CELLS if p.label == "lora" and p.cell.seed == 2)
    del records[victim.cell.id]
    if lost == "failed":
        records[victim.cell.id] = failed(victim)
    found = summary(records)
    lora = next(s for s in found.standings if s.method == "lora")
    assert (lora.mean_score, lora.average_rank, lora.pscp) == (None, None, None)
    entry = found.entry("tiny", "lora", victim.cell.task.name)
    assert not entry.complete
    assert not entry.is_best
    assert list(entry.by_seed) == ["1"]
    [trouble] = found.troubles
    assert trouble.status == ("missing" if lost == "missing" else "oom")
    assert trouble.reason


def test_rows_carry_every_seed_and_metric() -> None:
    records = {p.cell.id: finished(p, 0.5) for p in CELLS}
    rows = to_rows(summary(records))
    assert len(rows) == 2 * len(CELLS)
    assert {row["metric"] for row in rows if row["is_headline"]} == {"accuracy"}
    assert {row["seed"] for row in rows if row["method"] == "base"} == {"-"}
