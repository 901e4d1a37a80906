"""Whether a plan gathers enough seeds and test rows to tell methods apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np

from peftbench import tasks
from peftbench.errors import DataError, StoreError
from peftbench.planning.plan import Plan
from peftbench.scoring.components import Components, RowScores, components
from peftbench.scoring.paired import paired
from peftbench.scoring.power import ASSUMED, Needed, needed
from peftbench.spec import Cell
from peftbench.spec.frozen import digest
from peftbench.store import Record, Store, row_scores
from peftbench.tasks._data import load_task_data


@dataclass(frozen=True)
class Evidence:
    """What one task of a plan can show; `needed` is None where its rows are not known."""

    model: str
    task: str
    seeds: int
    rows: int | None
    needed: Needed | None
    basis: Literal["measured", "assumed"]
    """Of the variances: results of this task in the store, or `power.ASSUMED`."""


def evidence(plan: Plan, store: Store | None, margin: float) -> tuple[Evidence, ...]:
    """For each model and task: what it takes to find a difference of `margin` (a fraction
    of the headline score) in four of five benchmarks, and what the plan finds so often."""
    records = _records(plan, store) if store else {}
    found: dict[tuple[str, str], Evidence] = {}
    for planned in plan.cells:
        place = planned.model, planned.cell.task.name
        if place not in found:
            pilot = _pilot(planned.cell, records, store)
            found[place] = _evidence(
                plan, planned.model, planned.cell, records, pilot, margin
            )
    return tuple(found.values())


def most_variable(tables: Sequence[RowScores], seeds: int, rows: int) -> Components | None:
    """The variances of the pair of methods that is hardest to tell apart; None without
    two methods that answered the same rows with the same seeds, and not all alike."""
    pairs = []
    for first, second in combinations(tables, 2):
        try:
            table = paired(first, second)
        except ValueError:
            continue
        if min(table.shape) > 1:
            pairs.append(components(table))
    pairs = [pair for pair in pairs if pair.of_mean_over(seeds, rows) > 0]
    return max(pairs, key=lambda c: c.of_mean_over(seeds, rows), default=None)


def _evidence(
    plan: Plan,
    model: str,
    cell: Cell,
    records: Mapping[str, Record],
    pilot: Sequence[RowScores],
    margin: float,
) -> Evidence:
    seeds, rows = len(plan.benchmark.seeds), _test_rows(plan, cell, records)
    if rows is None:
        return Evidence(model, cell.task.name, seeds, None, None, "assumed")
    measured = most_variable(pilot, seeds, rows)
    told = needed(margin, measured or ASSUMED, seeds=seeds, rows=rows)
    basis: Literal["measured", "assumed"] = "measured" if measured else "assumed"
    return Evidence(model, cell.task.name, seeds, rows, told, basis)


def _pilot(
    cell: Cell, records: Mapping[str, Record], store: Store | None
) -> list[RowScores]:
    """Row scores, (seeds, rows), of every method that the store has on this task."""
    groups: dict[str, list[str]] = {}
    for cell_id, record in records.items():
        one = record.cell
        if record.scores and (one.model, one.task) == (cell.model, cell.task):
            key = digest(
                [one.method.model_dump(mode="json"), one.limits.model_dump(mode="json")]
            )
            groups.setdefault(key, []).append(cell_id)
    found = []
    for cell_ids in groups.values():
        grades = [records[cell_id].grade for cell_id in cell_ids]
        try:
            tables = [row_scores(store.results, g) for g in grades if g and store]
        except StoreError:
            continue  # a file was altered, as reports say; the others tell enough
        rows = [[score for score in table if score is not None] for table in tables]
        if rows and len({len(row) for row in rows}) == 1:
            found.append(np.array(rows, dtype=np.float64))
    return found


def _records(plan: Plan, store: Store) -> dict[str, Record]:
    """All that the store has on the plan's models and tasks, of whatever benchmark."""
    places = {(one.cell.model, one.cell.task) for one in plan.cells}
    known = [one for found in store.benchmarks() for one in found.cells]
    return store.records(one for one in known if (one.cell.model, one.cell.task) in places)


def _test_rows(plan: Plan, cell: Cell, records: Mapping[str, Record]) -> int | None:
    """From a result of the same limits, else the rows themselves, else the task's card."""
    for record in records.values():
        if record.scores and (record.cell.task, record.cell.limits) == (
            cell.task,
            cell.limits,
        ):
            return record.scores[0].examples
    task = tasks.get(cell.task.name, cell.protocol)
    if task.is_generated or plan.data_dir is not None:
        try:
            data = load_task_data(
                cell.task.name, data_dir=plan.data_dir, limits=cell.limits.model_dump()
            )
        except DataError:
            return None
        return len(data.examples["test"])
    size = task.sizes.get(task.splits["test"])
    return None if size is None else min(size, cell.limits.test or size)
