"""From records to a summary: every number of a report, in one pass."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal

import peftbench
from peftbench.cost.costs import Cost
from peftbench.errors import InvalidSpec
from peftbench.evaluation.scores import TEST
from peftbench.manifest import Manifest
from peftbench.scoring.comparisons import aggregates, rank_tests
from peftbench.scoring.directions import mean_better, no_mean, no_pscp
from peftbench.scoring.entries import (
    RowScoresOf,
    Tables,
    entry_of,
    marked,
    row_table,
    seed_of,
)
from peftbench.scoring.robustness import robustness
from peftbench.scoring.standings import standings
from peftbench.scoring.summary import (
    Comparison,
    Curve,
    Entry,
    MethodInfo,
    Precision,
    ReportedRun,
    Search,
    Summary,
    TaskInfo,
    Trouble,
)
from peftbench.scoring.tuning import expected_best
from peftbench.spec import Protocol
from peftbench.store.outcomes import Kind, Provenance, Status
from peftbench.store.planned import PlannedCell, best_trial
from peftbench.store.record import Record


def summarise(
    name: str,
    spec: Mapping[str, Any],
    planned: Sequence[PlannedCell],
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
    groups: dict[tuple[str, str, str], list[PlannedCell]] = {}
    for one in planned:
        groups.setdefault((one.model, one.label, one.cell.task.name), []).append(one)
    models = tuple(dict.fromkeys(one.model for one in planned))
    labels = tuple(dict.fromkeys(one.label for one in planned))
    task_infos = tuple(
        _task_info(task, [o for o in planned if o.cell.task.name == task], records)
        for task in dict.fromkeys(one.cell.task.name for one in planned)
    )
    entries, compared, placed = [], [], []
    for model in models:
        by_task: dict[str, Tables] = {}
        for info in task_infos:
            found, more, by_task[info.name] = _on_task(
                [
                    (key, group)
                    for key, group in groups.items()
                    if key[::2] == (model, info.name)
                ],
                records,
                row_scores,
                higher=info.better == "higher",
            )
            entries += found
            compared += more
        placed += standings(
            model, labels, task_infos, entries, planned, costs, records, by_task
        )
    return Summary(
        name=name,
        description=str(spec.get("description", "")),
        protocol=protocol,
        spec=spec,
        models=models,
        methods=tuple(
            _method_info([one for one in planned if one.label == label], records)
            for label in labels
        ),
        tasks=task_infos,
        precisions=_precisions(planned),
        seeds=tuple(dict.fromkeys(o.cell.seed for o in planned if o.cell.seed is not None)),
        entries=tuple(entries),
        standings=tuple(placed),
        mean_better=mean_better(task_infos),
        no_mean=no_mean(task_infos),
        no_pscp=no_pscp(task_infos),
        comparisons=tuple(compared),
        rank_tests=rank_tests(models, labels, task_infos, entries),
        aggregates=aggregates(models, labels, task_infos, entries),
        searches=_searches(planned, task_infos),
        curves=tuple(
            Curve(
                model=one.model,
                method=one.label,
                task=one.cell.task.name,
                seed=seed_of(one.cell),
                validations=record.validations,
            )
            for one in planned
            if (record := records.get(one.cell.id)) and record.validations
        ),
        troubles=tuple(
            _trouble(one, records.get(one.cell.id))
            for one in planned
            if _has_no_score(records.get(one.cell.id))
        ),
        robustness=robustness(planned, records),
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
                seed=seed_of(one.cell),
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
    "benchmark", "protocol", "model", "method", "task", "seed", "test_set", "metric", "unit",
    "better", "is_headline", "statistic", "score",
)  # fmt: skip


def to_rows(summary: Summary) -> list[dict[str, Any]]:
    """One row for every model, method, task, seed, test set and metric that has a score;
    then those of perturbed sets, which have several statistics: the "score", the "clean"
    one that stands beside it, the "drop" between them, and the "retention"."""
    infos = {info.name: info for info in summary.tasks}
    rows = []
    for entry in summary.entries:
        info = infos[entry.task]
        place = (summary.name, summary.protocol, entry.model, entry.method, entry.task)
        headline = (TEST, info.metric, info.unit, info.better, True, "score")
        rows += _by_seed(place, headline, entry.by_seed)
        for other in entry.other_scores:
            what = (other.test_set, other.metric, other.unit, other.better, False, "score")
            rows += _by_seed(place, what, other.by_seed)
    return rows + _robustness_rows(summary)


def _by_seed(
    place: tuple[str, ...], what: tuple[str | bool, ...], by_seed: Mapping[str, float]
) -> list[dict[str, Any]]:
    """One row for each seed."""
    return [
        dict(zip(ROW_FIELDS, (*place, seed, *what, score), strict=True))
        for seed, score in by_seed.items()
    ]


def _robustness_rows(summary: Summary) -> list[dict[str, Any]]:
    rows = []
    for one in summary.robustness:
        place = (summary.name, summary.protocol, one.model, one.method, one.task)
        for statistic, by_seed in one.by_seed.items():
            unit, better = one.unit, one.better
            if statistic == "drop":
                better = "lower"
            elif statistic == "retention":
                unit, better = "share of the clean score above its constant", "higher"
            name = "score" if statistic == "perturbed" else statistic
            what = (one.test_set, one.metric, unit, better, False, name)
            rows += _by_seed(place, what, by_seed)
    return rows


def _on_task(
    groups: Sequence[tuple[tuple[str, str, str], Sequence[PlannedCell]]],
    records: Mapping[str, Record],
    row_scores: RowScoresOf,
    *,
    higher: bool,
) -> tuple[list[Entry], list[Comparison], Tables]:
    """The entries of one task on one model, how they compare, and their row scores."""
    tables, entries = {}, []
    seeds = frozenset(seed_of(one.cell) for _, cells in groups for one in cells) - {"-"}
    for place, cells in groups:
        table = row_table(cells, records, row_scores)
        one = entry_of(place, cells, records, table, seeds)
        entries.append(one)
        if table is not None and one.complete:
            tables[one.method] = table
    shown, compared = marked(entries, tables, higher=higher)
    return shown, compared, tables


def _one_protocol(planned: Sequence[PlannedCell]) -> Protocol:
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
    """One for each tool, folder and machine."""
    distinct = {(one.tool, one.path, str(one.facts)): one for one in found}
    return tuple(distinct.values())


def _searches(
    planned: Sequence[PlannedCell], infos: Sequence[TaskInfo]
) -> tuple[Search, ...]:
    """One for each model, method and task that was tuned: its seeds share it."""
    higher = {info.name: info.better == "higher" for info in infos}
    found: dict[tuple[str, str, str], Search] = {}
    for one in planned:
        task = one.cell.task.name
        if one.trials:
            scores = [trial.score for trial in one.trials if trial.score is not None]
            found[one.model, one.label, task] = Search(
                model=one.model,
                method=one.label,
                task=task,
                trials=one.trials,
                chosen=best_trial(one.trials, higher=higher[task]).number,
                expected_best=tuple(expected_best(scores, higher=higher[task])),
            )
    return tuple(found.values())


def _task_info(
    name: str, planned: Sequence[PlannedCell], records: Mapping[str, Record]
) -> TaskInfo:
    """What the cells of a task say of it, and of its test rows the first that was scored."""
    told = [records[one.cell.id] for one in planned if one.cell.id in records]
    done = next((record for record in told if record.headline), None)
    headline = done.headline if done else None
    _check_one_metric(name, told)
    facts = planned[0].task
    counts = done.counts if done else None
    return TaskInfo(
        name=name,
        description=facts.description,
        is_generated=facts.is_generated,
        metric=(headline or facts).metric,
        unit=(headline or facts).unit,
        better=(headline or facts).better,
        test_examples=headline.examples if headline else None,
        baselines=done.baselines if done else (),
        leaks=tuple(leak for leak in counts.leaks if leak.count) if counts else (),
    )


def _check_one_metric(task: str, records: Sequence[Record]) -> None:
    found = dict.fromkeys(
        (record.headline.metric, record.headline.better)
        for record in records
        if record.headline
    )
    if len(found) > 1:
        metrics = " and ".join(f"{metric} ({better} is better)" for metric, better in found)
        raise InvalidSpec(
            f"Results on {task} have several headline metrics, {metrics}, and do not share "
            "a column. Run `peftbench rescore`, or give each a benchmark of its own."
        )


def _method_info(
    planned: Sequence[PlannedCell], records: Mapping[str, Record]
) -> MethodInfo:
    """What stands behind a label; where budgets differ by model, as on the first."""
    one = planned[0]
    cell = one.cell
    record = records.get(cell.id)
    told = record.provenance.learning_rate if record and record.provenance else None
    budgets = {other.model: other.budget for other in planned if other.budget}
    varied = _varied(planned, {budget.knob for budget in budgets.values()})
    rate = cell.training.learning_rate if cell.training else told
    return MethodInfo(
        label=one.label,
        name=cell.method.name,
        parameters=cell.method.parameters,
        family=one.method.family,
        paper=one.method.paper,
        trains=cell.training is not None or cell.seed is not None,
        learning_rate=None if "learning_rate" in varied else rate,
        varied=varied,
        budgets=budgets,
    )


def _precisions(planned: Sequence[PlannedCell]) -> tuple[Precision, ...]:
    """What was computed in which precision, in order of appearance."""
    found: dict[tuple[str, str, str], dict[str, None]] = {}
    for one in planned:
        training = one.cell.training.precision if one.cell.training else ""
        key = (one.model, one.cell.model.dtype, training)
        found.setdefault(key, {})[one.label] = None
    return tuple(
        Precision(model=model, methods=tuple(labels), weights=weights, training=training)
        for (model, weights, training), labels in found.items()
    )


def _varied(
    planned: Sequence[PlannedCell], turned: Collection[str]
) -> dict[str, tuple[Any, ...]]:
    """Settings of which one label's cells have several values, in order of appearance;
    without those that budgets turned."""
    found: dict[str, dict[str, Any]] = {}
    for one in planned:
        settings = dict(one.cell.method.parameters)
        if one.cell.training:
            settings["learning_rate"] = one.cell.training.learning_rate
        for name, value in settings.items():
            found.setdefault(name, {})[json.dumps(value)] = value
    return {
        name: tuple(values.values())
        for name, values in found.items()
        if len(values) > 1 and name not in turned
    }


def _has_no_score(record: Record | None) -> bool:
    return (
        record is None
        or record.status != "finished"
        or any(missing.is_headline for missing in record.unavailable)
    )


def _trouble(one: PlannedCell, record: Record | None) -> Trouble:
    missing = [lost for lost in record.unavailable if lost.is_headline] if record else []
    if missing:
        status: Status | Literal["missing", "unavailable"] = "unavailable"
        reason = f"{missing[0].metric}: {missing[0].reason}"
    else:
        status = record.status if record else "missing"
        reason = (record.error or "") if record else "not run yet"
    return Trouble(
        cell=one.cell.short_id,
        model=one.model,
        method=one.label,
        task=one.cell.task.name,
        seed=seed_of(one.cell),
        status=status,
        reason=reason,
    )


def _distinct(manifests: Sequence[Manifest]) -> tuple[Manifest, ...]:
    """One manifest for each machine and set of versions; it names all operators of its runs
    that cannot be repeated."""
    found: dict[tuple[Any, ...], Manifest] = {}
    for one in sorted(manifests, key=lambda m: m.programs_run_in is not None):
        packages = tuple(sorted(one.packages.items()))
        key = one.host, packages, one.git_commit, one.device, one.ran_programs_unsafely
        before = found[key].not_repeatable if key in found else None
        names = {*(before or ()), *(one.not_repeatable or ())}
        found[key] = one.model_copy(update={"not_repeatable": tuple(sorted(names))})
    return tuple(found.values())
