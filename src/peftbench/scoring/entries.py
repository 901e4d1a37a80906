"""The places of the headline table: a method on a task, with its interval and its ties."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from peftbench.evaluation.scores import Score
from peftbench.scoring.bootstrap import deviations, interval_around
from peftbench.scoring.components import RowScores
from peftbench.scoring.intervals import mean_interval
from peftbench.scoring.paired import compare, mcnemar
from peftbench.scoring.summary import Comparison, Entry, Interval, OtherScore
from peftbench.scoring.ties import LEVEL, holm
from peftbench.spec import Cell
from peftbench.store.planned import PlannedCell
from peftbench.store.record import Record

#: Stored row scores (jackknife pseudo-values) of a finished cell, by its id.
RowScoresOf = Callable[[str], Sequence[float] | None]

#: Row scores of every complete method on one task of one model.
Tables = Mapping[str, RowScores]


def seed_of(cell: Cell) -> str:
    """The cell's seed as text; "-" where nothing is trained, and so nothing is seeded."""
    return "-" if cell.seed is None else str(cell.seed)


def row_table(
    cells: Sequence[PlannedCell], records: Mapping[str, Record], row_scores: RowScoresOf
) -> RowScores | None:
    """(seeds, rows) of the finished cells; None where one has no rows, or other ones."""
    found = [
        row_scores(one.cell.id)
        for one in cells
        if one.cell.id in records and records[one.cell.id].headline
    ]
    if not found or not all(found) or len({len(rows or ()) for rows in found}) != 1:
        return None
    return np.array(found, dtype=np.float64)


def entry_of(
    place: tuple[str, str, str],
    cells: Sequence[PlannedCell],
    records: Mapping[str, Record],
    table: RowScores | None,
    seeds: frozenset[str],
) -> Entry:
    """One place, (model, method, task), from the records of its seeds.

    It is complete if nothing is missing of what was planned, and of the seeds that other
    methods have there: imports may have other seeds for each method.
    """
    finished = [
        (one.cell, records[one.cell.id])
        for one in cells
        if one.cell.id in records and records[one.cell.id].headline
    ]
    by_seed = {
        seed_of(cell): record.headline.value for cell, record in finished if record.headline
    }
    model, method, task = place
    return Entry(
        model=model,
        method=method,
        task=task,
        by_seed=by_seed,
        interval=_interval(by_seed, table) if by_seed else None,
        complete=len(finished) == len(cells)
        and (set(by_seed) == {"-"} or by_seed.keys() >= seeds),
        other_scores=_others(
            {seed_of(cell): record.scores[1:] for cell, record in finished}
        ),
    )


def _others(by_seed: Mapping[str, Sequence[Score]]) -> tuple[OtherScore, ...]:
    """Every further metric and test set, in the order in which runs tell them."""
    found: dict[tuple[str, str], dict[str, Score]] = {}
    for seed, scores in by_seed.items():
        for score in scores:
            found.setdefault((score.test_set, score.metric), {})[seed] = score
    return tuple(
        OtherScore(
            test_set=test_set,
            metric=metric,
            unit=next(iter(own.values())).unit,
            better=next(iter(own.values())).better,
            by_seed={seed: score.value for seed, score in own.items()},
        )
        for (test_set, metric), own in found.items()
    )


def marked(
    entries: Sequence[Entry], tables: Tables, *, higher: bool
) -> tuple[list[Entry], list[Comparison]]:
    """The entries of one task with the best and its ties marked, and the comparisons
    behind the marks. Only complete entries compete: a mean over fewer seeds is not
    comparable."""
    means = {e.method: e.interval.mean for e in entries if e.complete and e.interval}
    if len(means) < 2:
        return list(entries), []
    best = (max if higher else min)(means, key=lambda method: means[method])
    compared = _against(best, [e for e in entries if e.method in means], tables)
    tied = {c.method for c in compared if c.adjusted_p_value >= LEVEL} | {best}
    return [
        one.model_copy(
            update={
                "is_best": one.method in means and means[one.method] == means[best],
                "is_tied_with_best": one.method in tied,
            }
        )
        for one in entries
    ], compared


def _interval(by_seed: Mapping[str, float], table: RowScores | None) -> Interval:
    """Over seeds and rows; over rows alone where there are no seeds to vary."""
    plain = mean_interval(list(by_seed.values()))
    has_seeds = "-" not in by_seed
    if table is None or table.shape[1] < 2 or (has_seeds and len(table) < 2):
        return plain
    if not table.var():  # all rows score alike, and nothing shows how others would
        return plain.model_copy(update={"low": None, "high": None})
    low, high = interval_around(plain.mean, deviations([table], np.random.default_rng(0)))
    over = "seeds and rows" if has_seeds else "rows"
    return plain.model_copy(update={"low": low, "high": high, "over": over})


def _against(best: str, entries: Sequence[Entry], tables: Tables) -> list[Comparison]:
    """`best` minus every other method that answered the same rows."""
    if best not in tables:
        return []
    mine = tables[best]
    found = {
        one.method: (one, compare(mine, tables[one.method]))
        for one in entries
        if one.method != best
        and one.method in tables
        and tables[one.method].shape[1] == mine.shape[1]
    }
    adjusted = holm(
        {method: difference.p_value for method, (_, difference) in found.items()}
    )
    return [
        Comparison(
            model=one.model,
            task=one.task,
            best=best,
            method=method,
            difference=difference,
            adjusted_p_value=adjusted[method],
            mcnemar_p_value=mcnemar(mine, tables[method])
            if _are_right_or_wrong(mine) and _are_right_or_wrong(tables[method])
            else None,
        )
        for method, (one, difference) in found.items()
    ]


def _are_right_or_wrong(table: RowScores) -> bool:
    return bool(np.isin(table, (0.0, 1.0)).all())
