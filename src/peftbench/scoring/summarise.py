"""From records to a summary: every number of a report, in one pass."""

from __future__ import annotations

import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

import peftbench
from peftbench import methods, tasks
from peftbench.errors import InvalidSpec, PeftbenchError
from peftbench.evaluation import metrics
from peftbench.scoring.intervals import mean_interval
from peftbench.scoring.penalties import pscp, pscp_factors
from peftbench.scoring.ranks import average_ranks, ranks
from peftbench.scoring.summary import (
    Curve,
    Entry,
    MethodInfo,
    ReportedRun,
    Standing,
    Summary,
    TaskInfo,
    Trouble,
)
from peftbench.scoring.ties import tied_with_best
from peftbench.spec import Cell, Protocol
from peftbench.store.record import Cost, Kind, Manifest, Provenance, Record, Reported


class Planned(typing.Protocol):
    """A cell and what the report calls its model and method (`store.PlannedCell`)."""

    @property
    def cell(self) -> Cell:
        """The cell."""

    @property
    def model(self) -> str:
        """The model's name."""

    @property
    def label(self) -> str:
        """The method's label."""


RowScoresOf = Callable[[str], Sequence[float] | None]


def summarise(
    name: str,
    spec: Mapping[str, Any],
    planned: Sequence[Planned],
    records: Mapping[str, Record],
    costs: Sequence[Cost],
    row_scores: RowScoresOf,
) -> Summary:
    """Everything a report on one benchmark shows.

    `row_scores` gives the stored row scores (jackknife pseudo-values) of a finished
    cell. Means over unequal sets of tasks or seeds are not taken: they are None. Cells of
    two protocols are refused with `InvalidSpec`: their numbers do not share a table.
    """
    protocol = _one_protocol(planned)
    groups: dict[tuple[str, str, str], list[Planned]] = {}
    for one in planned:
        groups.setdefault((one.model, one.label, one.cell.task.name), []).append(one)
    models = tuple(dict.fromkeys(one.model for one in planned))
    labels = tuple(dict.fromkeys(one.label for one in planned))
    task_infos = tuple(
        _task_info(
            task,
            protocol,
            [records.get(one.cell.id) for one in planned if one.cell.task.name == task],
        )
        for task in dict.fromkeys(one.cell.task.name for one in planned)
    )
    entries = [_entry(key, cells, records) for key, cells in groups.items()]
    entries = [
        marked
        for model in models
        for info in task_infos
        for marked in _mark_best(
            [e for e in entries if e.model == model and e.task == info.name],
            groups,
            row_scores,
            higher=info.better == "higher",
        )
    ]
    return Summary(
        name=name,
        description=str(spec.get("description", "")),
        protocol=protocol,
        spec=spec,
        models=models,
        methods=tuple(
            _method_info(next(one for one in planned if one.label == label))
            for label in labels
        ),
        tasks=task_infos,
        seeds=tuple(dict.fromkeys(o.cell.seed for o in planned if o.cell.seed is not None)),
        entries=tuple(entries),
        standings=tuple(
            standing
            for model in models
            for standing in _standings(
                model, labels, task_infos, entries, planned, costs, records
            )
        ),
        curves=tuple(
            Curve(
                model=one.model,
                method=one.label,
                task=one.cell.task.name,
                seed=_seed(one.cell),
                validations=record.validations,
            )
            for one in planned
            if (record := records.get(one.cell.id)) and record.validations
        ),
        troubles=tuple(
            _trouble(one, records.get(one.cell.id))
            for one in planned
            if one.cell.id not in records or records[one.cell.id].status != "finished"
        ),
        cells=len(planned),
        finished_cells=sum(
            one.cell.id in records and records[one.cell.id].status == "finished"
            for one in planned
        ),
        manifests=_distinct(
            [
                record.manifest
                for one in planned
                if (record := records.get(one.cell.id)) and record.kind == "run"
            ]
        ),
        kind=_one_kind([records[o.cell.id] for o in planned if o.cell.id in records]),
        provenances=_provenances(
            [
                record.provenance
                for one in planned
                if (record := records.get(one.cell.id)) and record.provenance
            ]
        ),
        reported_runs=tuple(
            ReportedRun(
                model=one.model,
                method=one.label,
                task=one.cell.task.name,
                seed=_seed(one.cell),
                stored_bytes=record.stored_bytes,
                costs=record.reported,
            )
            for one in planned
            if (record := records.get(one.cell.id))
            and record.kind == "imported"
            and record.reported
        ),
        peftbench_version=peftbench.__version__,
    )


ROW_FIELDS = (
    "benchmark", "protocol", "model", "method", "task", "seed", "metric", "is_headline",
    "score",
)  # fmt: skip


def to_rows(summary: Summary) -> list[dict[str, Any]]:
    """One row for every model, method, task, seed and metric that has a score."""
    metric = {info.name: info.metric for info in summary.tasks}
    rows = []
    for entry in summary.entries:
        by_metric = {metric[entry.task]: entry.by_seed, **entry.other_scores}
        for name, by_seed in by_metric.items():
            place = (summary.name, summary.protocol, entry.model, entry.method, entry.task)
            for seed, score in by_seed.items():
                values = (*place, seed, name, name == metric[entry.task], score)
                rows.append(dict(zip(ROW_FIELDS, values, strict=True)))
    return rows


def _one_protocol(planned: Sequence[Planned]) -> Protocol:
    found = list(dict.fromkeys(one.cell.protocol for one in planned))
    if len(found) > 1:
        raise InvalidSpec(
            f"Results of the protocols {' and '.join(found)} do not share a table: their "
            "prompts, labels and metrics differ. Give each protocol a benchmark of its own."
        )
    return found[0] if found else "strict"


def _one_kind(records: Sequence[Record]) -> Kind:
    found: set[Kind] = {record.kind for record in records}
    if len(found) > 1:
        raise InvalidSpec(
            f"Results that are {' and '.join(sorted(found))} do not share a table. Give each "
            "a benchmark of its own."
        )
    return found.pop() if found else "run"


def _provenances(found: Sequence[Provenance]) -> tuple[Provenance, ...]:
    """One for each tool and folder."""
    return tuple({(one.tool, one.path): one for one in found}.values())


def _seed(cell: Cell) -> str:
    return "-" if cell.seed is None else str(cell.seed)


def _entry(
    key: tuple[str, str, str], cells: Sequence[Planned], records: Mapping[str, Record]
) -> Entry:
    finished = [
        (one.cell, records[one.cell.id])
        for one in cells
        if one.cell.id in records and records[one.cell.id].headline
    ]
    by_seed = {_seed(cell): record.scores[0].value for cell, record in finished}
    others: dict[str, dict[str, float]] = {}
    for cell, record in finished:
        for score in record.scores[1:]:
            others.setdefault(score.name, {})[_seed(cell)] = score.value
    model, method, task = key
    return Entry(
        model=model,
        method=method,
        task=task,
        by_seed=by_seed,
        interval=mean_interval(list(by_seed.values())) if by_seed else None,
        complete=len(finished) == len(cells),
        other_scores=others,
    )


def _mark_best(
    entries: Sequence[Entry],
    groups: Mapping[tuple[str, str, str], Sequence[Planned]],
    row_scores: RowScoresOf,
    *,
    higher: bool,
) -> list[Entry]:
    """Only complete entries compete: a mean over fewer seeds is not comparable."""
    means = {e.method: e.interval.mean for e in entries if e.complete and e.interval}
    if len(means) < 2:
        return list(entries)
    best = (max if higher else min)(means, key=lambda method: means[method])
    rows = {}
    for entry in entries:
        if entry.method in means:
            cells = groups[entry.model, entry.method, entry.task]
            found = [row_scores(one.cell.id) for one in cells]
            if all(found):
                rows[entry.method] = np.array(found, dtype=np.float64)
    tied = tied_with_best(rows, best) if best in rows else frozenset({best})
    return [
        entry.model_copy(
            update={
                "is_best": entry.method in means and means[entry.method] == means[best],
                "is_tied_with_best": entry.method in tied,
            }
        )
        for entry in entries
    ]


def _standings(
    model: str,
    labels: Sequence[str],
    infos: Sequence[TaskInfo],
    entries: Sequence[Entry],
    planned: Sequence[Planned],
    costs: Sequence[Cost],
    records: Mapping[str, Record],
) -> list[Standing]:
    own = {(e.method, e.task): e for e in entries if e.model == model and e.complete}
    by_task = [
        ranks(
            {
                m: i.mean
                for m in labels
                if (e := own.get((m, info.name))) and (i := e.interval)
            },
            higher_is_better=info.better == "higher",
        )
        for info in infos
    ]
    average = average_ranks(by_task)
    standings = []
    for label in labels:
        intervals = [
            e.interval
            for info in infos
            if (e := own.get((label, info.name))) and e.interval
        ]
        mean = 100 * sum(i.mean for i in intervals) / len(infos)
        complete = len(intervals) == len(infos)
        standing = Standing(
            model=model,
            method=label,
            average_rank=average.get(label),
            mean_score=mean if complete else None,
            cost=_cost_of(model, label, planned, costs),
            reported=_reported_of(model, label, planned, records),
        )
        values: dict[str, Any] = {}
        if priced := standing.pscp_inputs:
            inputs = (
                priced.trainable_parameters,
                priced.extra_forward_flops / 1e12,
                priced.peak_memory_bytes / 1e9,
            )
            factors = pscp_factors(*inputs)
            values = dict(
                zip(
                    ("parameter_factor", "flops_factor", "memory_factor"),
                    factors,
                    strict=True,
                )
            )
            if complete:
                values["pscp"] = pscp(mean, *inputs)
        standings.append(standing.model_copy(update=values))
    return standings


def _reported_of(
    model: str, label: str, planned: Sequence[Planned], records: Mapping[str, Record]
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
    model: str, label: str, planned: Sequence[Planned], costs: Sequence[Cost]
) -> Cost | None:
    cell = next((o.cell for o in planned if o.model == model and o.label == label), None)
    if cell is None:
        return None
    asked = (cell.model.identity, cell.model.dtype, cell.method)
    matching = (
        cost for cost in costs if (cost.model_identity, cost.dtype, cost.method) == asked
    )
    return next(matching, None)


def _task_info(name: str, protocol: Protocol, records: Sequence[Record | None]) -> TaskInfo:
    done = next((record for record in records if record and record.scores), None)
    metric = done.scores[0].name if done else ""
    try:
        task = tasks.get(name, protocol)
        metric = metric or task.headline
        description, is_generated = task.description, task.is_generated
    except PeftbenchError:  # a plug-in task that is not installed here
        sources = (r.provenance for r in records if r and r.provenance)
        description = next((source.about for source in sources), "")
        is_generated = False
    known = metrics.get(metric) if metric in metrics.names() else None
    return TaskInfo(
        name=name,
        description=description,
        is_generated=is_generated,
        metric=metric,
        unit=known.unit if known else "",
        better=known.better if known else "higher",
        test_examples=done.scores[0].examples if done else None,
        baselines=done.baselines if done else (),
    )


def _method_info(one: Planned) -> MethodInfo:
    cell = one.cell
    try:
        method = methods.get(cell.method.name)
        family, paper = str(method.family), method.paper
    except PeftbenchError:  # a plug-in method that is not installed here
        family, paper = "", ""
    return MethodInfo(
        label=one.label,
        name=cell.method.name,
        parameters=cell.method.parameters,
        family=family,
        paper=paper,
        trains=cell.training is not None,
        learning_rate=cell.training.learning_rate if cell.training else None,
    )


def _trouble(one: Planned, record: Record | None) -> Trouble:
    return Trouble(
        cell=one.cell.short_id,
        model=one.model,
        method=one.label,
        task=one.cell.task.name,
        seed=_seed(one.cell),
        status=record.status if record else "missing",
        reason=(record.error or "") if record else "not run yet",
    )


def _distinct(manifests: Sequence[Manifest]) -> tuple[Manifest, ...]:
    """One manifest for each machine and set of versions."""
    found = {
        (m.host, tuple(sorted(m.packages.items())), m.git_commit, m.device): m
        for m in manifests
    }
    return tuple(found.values())
