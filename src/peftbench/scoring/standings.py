"""Methods over all tasks: mean score, average rank and PSCP, and who is tied there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from peftbench.cost.costs import Cost, precision_of
from peftbench.scoring.bootstrap import deviations, interval_around
from peftbench.scoring.directions import mean_better, no_mean, no_pscp
from peftbench.scoring.entries import Tables
from peftbench.scoring.paired import mean_difference, paired
from peftbench.scoring.penalties import ppt, pscp, pscp_factors
from peftbench.scoring.ranks import average_ranks, ranks
from peftbench.scoring.summary import Entry, Interval, Standing, TaskInfo
from peftbench.scoring.ties import tied_with
from peftbench.spec.facts import Better
from peftbench.store.outcomes import Reported
from peftbench.store.planned import PlannedCell
from peftbench.store.record import Record


def standings(
    model: str,
    labels: Sequence[str],
    infos: Sequence[TaskInfo],
    entries: Sequence[Entry],
    planned: Sequence[PlannedCell],
    costs: Sequence[Cost],
    records: Mapping[str, Record],
    tables: Mapping[str, Tables],
) -> list[Standing]:
    """One standing for each method on `model`; `tables` are row scores by task.

    Where the tasks' headlines differ in direction there is no mean score, and PSCP and PPT
    take a higher score for a better one: see `directions.py`.
    """
    refused = no_mean(infos)
    better = mean_better(infos)
    own = {(e.method, e.task): e for e in entries if e.model == model and e.complete}
    scores = [
        {m: e.interval.mean for m in labels if (e := own.get((m, t.name))) and e.interval}
        for t in infos
    ]
    average = average_ranks(
        [
            ranks(by_method, higher_is_better=info.better == "higher")
            for by_method, info in zip(scores, infos, strict=True)
        ]
    )
    found = []
    for label in labels:
        means = [by_method[label] for by_method in scores if label in by_method]
        trains = any("-" not in e.by_seed for (m, _), e in own.items() if m == label)
        is_whole = len(means) == len(infos) and not refused
        mean = sum(means) / len(infos) if is_whole else None
        standing = Standing(
            model=model,
            method=label,
            average_rank=average.get(label),
            mean_score=None if mean is None else 100 * mean,
            mean_interval=None
            if mean is None
            else _mean_interval(mean, label, tables, trains=trains),
            cost=_cost_of(model, label, planned, costs),
            reported=_reported_of(model, label, planned, records),
        )
        found.append(_with_pscp(standing, is_rated=not no_pscp(infos)))
    return _with_ties(found, tables, better)


def _with_pscp(standing: Standing, *, is_rated: bool) -> Standing:
    priced = standing.pscp_inputs
    if priced is None:
        return standing
    inputs = (
        priced.trainable_parameters,
        priced.extra_forward_flops / 1e12,
        priced.peak_memory_bytes / 1e9,
    )
    names = ("parameter_factor", "flops_factor", "memory_factor")
    values: dict[str, Any] = dict(zip(names, pscp_factors(*inputs), strict=True))
    if is_rated and standing.mean_score is not None:
        values["pscp"] = pscp(standing.mean_score, *inputs)
        values["ppt"] = ppt(standing.mean_score, priced.trainable_parameters)
    return standing.model_copy(update=values)


def _mean_interval(
    mean: float, label: str, tables: Mapping[str, Tables], *, trains: bool
) -> Interval | None:
    """Of the mean over these tasks, which are not drawn at random; times 100."""
    own = [by_method.get(label) for by_method in tables.values()]
    if not own or any(table is None for table in own):
        return None
    whole = [table for table in own if table is not None]
    seeds = max(len(table) for table in whole)
    if (trains and seeds < 2) or not any(table.var() for table in whole):
        return None  # as for one task: nothing shows how others would differ
    low, high = interval_around(mean, deviations(whole, np.random.default_rng(0)))
    return Interval(
        mean=100 * mean,
        low=100 * low,
        high=100 * high,
        seeds=seeds,
        over="seeds and rows" if trains else "rows",
    )


def _with_ties(
    found: Sequence[Standing], tables: Mapping[str, Tables], better: Better
) -> list[Standing]:
    """Mark who is not told from the best mean score, and from the best PSCP."""
    by_mean = _tied(
        {s.method: s.mean_score for s in found},
        dict.fromkeys([s.method for s in found], 1.0),
        tables,
        better,
    )
    shares = {
        s.method: s.pscp / s.mean_score
        for s in found
        if s.pscp is not None and s.mean_score
    }
    by_pscp = _tied({s.method: s.pscp for s in found}, shares, tables, "higher")
    return [
        s.model_copy(
            update={
                "is_mean_tied": s.method in by_mean,
                "is_pscp_tied": s.method in by_pscp,
            }
        )
        for s in found
    ]


def _tied(
    scores: Mapping[str, float | None],
    shares: Mapping[str, float],
    tables: Mapping[str, Tables],
    better: Better,
) -> frozenset[str]:
    """Methods not told from the best of `scores`, which are means over tasks, each times
    the method's own share (the product of its PSCP factors)."""
    known = {method: score for method, score in scores.items() if score is not None}
    complete = [
        method
        for method in known
        if method in shares and all(method in by_method for by_method in tables.values())
    ]
    if len(known) < 2:
        return frozenset()
    best = (max if better == "higher" else min)(known, key=lambda method: known[method])
    if best not in complete or not tables:
        return frozenset({best})

    def p_value(method: str) -> float:
        return mean_difference(
            [
                paired(shares[best] * by_method[best], shares[method] * by_method[method])
                for by_method in tables.values()
            ]
        ).p_value

    comparable = [
        method
        for method in complete
        if all(t[method].shape[1] == t[best].shape[1] for t in tables.values())
    ]
    return tied_with(best, comparable, p_value)


def _reported_of(
    model: str, label: str, planned: Sequence[PlannedCell], records: Mapping[str, Record]
) -> Reported | None:
    """What all records of a method say alike that it cost."""
    told = {
        record.reported
        for one in planned
        if (one.model, one.label) == (model, label)
        and (record := records.get(one.cell.id))
        and record.reported
    }
    return told.pop() if len(told) == 1 else None


def _cost_of(
    model: str, label: str, planned: Sequence[PlannedCell], costs: Sequence[Cost]
) -> Cost | None:
    cell = next((o.cell for o in planned if o.model == model and o.label == label), None)
    if cell is None:
        return None
    asked = (cell.model.base, cell.method, precision_of(cell))
    matching = (
        cost
        for cost in costs
        if (cost.step.base, cost.method, cost.probe.precision) == asked
    )
    return next(matching, None)
