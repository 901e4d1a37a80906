"""Fair tuning: the same number of trials for every method, on the validation part alone.

A trial is a cell like any other: it is run once, kept in the store, and goes on after an
interruption. The search itself is not kept: asked again, it suggests the same settings
from the same results, so that a second run of the same benchmark finds its trials done.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from peftbench import methods, tasks
from peftbench.engine.plan import Plan, rebuild_method
from peftbench.errors import InvalidSpec
from peftbench.evaluation import metrics
from peftbench.scoring.tuning import best_trial, median_bounds
from peftbench.spec import Cell, Range, Trial, Tuning
from peftbench.spec.frozen import digest
from peftbench.store import PlannedCell, Record, Store, TrialResult

if TYPE_CHECKING:
    import optuna

#: What runs cells that the store does not hold yet.
RunCells = Callable[[Sequence[PlannedCell]], None]

Space = Mapping[str, Range | tuple[Any, ...]]


@dataclass(frozen=True)
class Study:
    """One search: a method on a model, and the task or tasks that it is tuned for."""

    templates: tuple[PlannedCell, ...]
    """One for each task, with the settings that the spec gives."""
    tuning: Tuning
    space: Space

    @property
    def key(self) -> str:
        """Names the search: its digest is part of the tuned cells' identity."""
        cells = [p.cell.model_copy(update={"seed": None}) for p in self.templates]
        return digest(
            [
                self.tuning.model_dump(mode="json"),
                [c.model_dump(mode="json") for c in cells],
            ]
        )

    @property
    def higher(self) -> bool:
        """Whether a higher validation score is better; the same for all its tasks."""
        cell = self.templates[0].cell
        headline = tasks.get(cell.task.name, cell.protocol).headline
        return metrics.get(headline).better == "higher"

    def cells(
        self, settings: Mapping[str, Any], records: Sequence[Mapping[str, Record]]
    ) -> tuple[PlannedCell, ...]:
        """The runs of a trial with these settings; `records` are those of earlier trials,
        by task, which the pruner compares it with."""
        return tuple(
            replace(
                planned,
                cell=with_settings(planned.cell, settings).model_copy(
                    update={
                        "seed": self.tuning.seed,
                        "trial": Trial(stop_below=self._bounds(planned.cell, records)),
                    }
                ),
            )
            for planned in self.templates
        )

    def _bounds(
        self, cell: Cell, records: Sequence[Mapping[str, Record]]
    ) -> tuple[float | None, ...]:
        if self.tuning.pruner == "none" or cell.training is None:
            return ()
        looks = cell.training.validations
        earlier = [by_task.get(cell.task.name) for by_task in records]
        curves = [
            [look.score for look in record.validations]
            for record in earlier
            if record and len(record.validations) == looks
        ]
        return median_bounds(curves, looks=looks)


def tune(plan: Plan, store: Store, run_cells: RunCells) -> Plan:
    """Run every trial that the store does not hold, and return the plan of the final runs
    with the chosen settings. Without `tuning` in the spec, the plan itself."""
    tuning = plan.benchmark.tuning
    if tuning is None:
        return plan
    found = studies(plan)
    tried: dict[str, list[TrialResult]] = {study.key: [] for study in found}
    seen: dict[str, list[dict[str, Record]]] = {study.key: [] for study in found}
    for number in range(tuning.trials):
        asked = {
            study.key: (
                settings := suggest(study, tried[study.key]),
                study.cells(settings, seen[study.key]),
            )
            for study in found
        }
        cells = {p.cell.id: p for _, planned in asked.values() for p in planned}
        done = store.records(cells)
        run_cells([planned for cell_id, planned in cells.items() if cell_id not in done])
        done = store.records(cells)
        for study in found:
            settings, planned = asked[study.key]
            own = {p.cell.task.name: done[p.cell.id] for p in planned if p.cell.id in done}
            seen[study.key].append(own)
            tried[study.key].append(_result(number, settings, planned, own))
    return _final(plan, found, tried)


def studies(plan: Plan) -> tuple[Study, ...]:
    """The searches of a plan; methods that train nothing have none."""
    tuning = plan.benchmark.tuning
    assert tuning is not None
    groups: dict[tuple[str, ...], dict[str, PlannedCell]] = {}
    for planned in plan.cells:
        if planned.cell.training is not None:
            task = planned.cell.task.name
            key = (planned.model, planned.label, *((task,) if tuning.per == "task" else ()))
            groups.setdefault(key, {}).setdefault(task, planned)
    return tuple(
        Study(tuple(own.values()), tuning, space_of(next(iter(own.values())).cell, tuning))
        for own in groups.values()
    )


def space_of(cell: Cell, tuning: Tuning) -> Space:
    """What is tuned for the method of a cell; raises `InvalidSpec` for a setting that
    neither training nor any method has."""
    assert cell.training is not None
    if tuning.space == "default":
        rate = cell.training.learning_rate
        declared = methods.get(cell.method.name).space
        return {
            "learning_rate": Range(low=rate / 10, high=min(10.0, rate * 10)),
            **declared,
        }
    own = {
        name: values
        for name, values in tuning.space.items()
        if name == "learning_rate" or name in cell.method.parameters
    }
    if not own:
        raise InvalidSpec(
            f"tuning.space names {', '.join(tuning.space)}, and {cell.method.name} has none of "
            f"them; it has learning_rate, {', '.join(cell.method.parameters)}."
        )
    return own


def with_settings(cell: Cell, settings: Mapping[str, Any]) -> Cell:
    """The cell with other settings; raises `InvalidSpec` where its method refuses them."""
    assert cell.training is not None
    training = dict(settings)
    parameters = {n: training.pop(n) for n in settings if n in cell.method.parameters}
    changed = cell.model_copy(
        update={
            "training": cell.training.model_copy(update=training),
            "method": cell.method.model_copy(
                update={"parameters": {**cell.method.parameters, **parameters}}
            ),
        }
    )
    rebuild_method(changed)  # its own checks, before anything runs
    return changed


def suggest(study: Study, tried: Sequence[TrialResult]) -> dict[str, Any]:
    """Settings of the next trial: the defaults first, then what Optuna's sampler says. The
    same history gives the same suggestion, in any process."""
    if not tried:
        return _defaults(study)
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    seed = int(digest([study.key, len(tried)])[:8], 16)
    sampler: optuna.samplers.BaseSampler = (
        optuna.samplers.RandomSampler(seed=seed)
        if study.tuning.sampler == "random"
        else optuna.samplers.TPESampler(seed=seed, n_startup_trials=4)
    )
    search = optuna.create_study(
        direction="maximize" if study.higher else "minimize", sampler=sampler
    )
    distributions = {name: _distribution(values) for name, values in study.space.items()}
    for trial in tried:
        if trial.score is None or not _is_inside(trial.settings, study.space):
            continue  # a failed run says nothing that a sampler could use
        search.add_trial(
            optuna.trial.create_trial(
                params=dict(trial.settings), distributions=distributions, value=trial.score
            )
        )
    return dict(search.ask(distributions).params)


def _defaults(study: Study) -> dict[str, Any]:
    cell = study.templates[0].cell
    assert cell.training is not None
    known = {**cell.method.parameters, "learning_rate": cell.training.learning_rate}
    return {name: known[name] for name in study.space}


def _is_inside(settings: Mapping[str, Any], space: Space) -> bool:
    """A default may lie outside the space that a spec gives; samplers know nothing there."""
    return all(
        values.low <= settings[name] <= values.high
        if isinstance(values, Range)
        else settings[name] in values
        for name, values in space.items()
    )


def _distribution(
    values: Range | tuple[Any, ...],
) -> optuna.distributions.BaseDistribution:
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    if not isinstance(values, Range):
        return CategoricalDistribution(values)
    if values.whole:
        return IntDistribution(int(values.low), int(values.high), log=values.log)
    return FloatDistribution(values.low, values.high, log=values.log)


def _result(
    number: int,
    settings: Mapping[str, Any],
    planned: Sequence[PlannedCell],
    records: Mapping[str, Record],
) -> TrialResult:
    scores = [_validation_score(records.get(p.cell.task.name)) for p in planned]
    known = [score for score in scores if score is not None]
    return TrialResult(
        number=number,
        settings=settings,
        score=sum(known) / len(known) if len(known) == len(scores) else None,
        cells=tuple(p.cell.id for p in planned),
        is_pruned=any(
            (record := records.get(p.cell.task.name)) is not None
            and p.cell.training is not None
            and record.status == "finished"
            and len(record.validations) < p.cell.training.validations
            for p in planned
        ),
    )


def _validation_score(record: Record | None) -> float | None:
    if record is None or record.status != "finished":
        return None
    looks = (look.score for look in record.validations if look.step == record.best_step)
    return next(looks, None)


def _final(
    plan: Plan, found: Sequence[Study], tried: Mapping[str, Sequence[TrialResult]]
) -> Plan:
    """The plan with every tuned cell at its chosen settings."""
    chosen: dict[tuple[str, str, str], tuple[Study, TrialResult]] = {}
    for study in found:
        best = best_trial(tried[study.key], higher=study.higher)
        for planned in study.templates:
            place = planned.model, planned.label, planned.cell.task.name
            chosen[place] = study, best
    cells, trials = [], {}
    for planned in plan.cells:
        place = planned.model, planned.label, planned.cell.task.name
        if place in chosen:
            study, best = chosen[place]
            cell = with_settings(planned.cell, best.settings)
            cell = cell.model_copy(update={"tuned": study.key})
            planned = replace(planned, cell=cell)
            trials[cell.id] = tuple(tried[study.key])
        cells.append(planned)
    return replace(plan, cells=tuple(cells), trials=trials)
