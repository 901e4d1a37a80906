"""Fair tuning: the same number of trials for every method, on the validation part alone.

A trial is a training run like any other: it is done once, kept in the store, and goes on after
an interruption; a final run with the same seed and settings is that very run. The search
itself is not kept: its state is what the store has of its trials, and asked again, it
suggests the same settings from the same results.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from statistics import median
from typing import TYPE_CHECKING, Any

from peftbench import methods, tasks
from peftbench.errors import InvalidSpec
from peftbench.evaluation import metrics
from peftbench.methods._build import rebuild
from peftbench.planning.plan import Plan
from peftbench.planning.wanted import wanted, work_on
from peftbench.spec import AnyStep, Cell, Range, Trial, Tuning
from peftbench.spec.frozen import digest
from peftbench.store import PlannedCell, Store, Trained, TrialResult, Tried, Work
from peftbench.store.planned import best_trial

if TYPE_CHECKING:
    import optuna

Space = Mapping[str, Range | tuple[Any, ...]]

#: Finished trials that there must be before another is given up for falling behind them.
_STARTUP = 4


@dataclass(frozen=True)
class Study:
    """One search: a method on a model, and the task or tasks that it is tuned for."""

    templates: tuple[PlannedCell, ...]
    """One for each task, with the settings that the spec gives."""
    tuning: Tuning
    space: Space

    @property
    def key(self) -> str:
        """Names the search: what its sampler draws depends on it."""
        cells = [p.cell.model_copy(update={"seed": 0}) for p in self.templates]
        asked = [one.train.id for one in cells if one.train]
        return digest([self.tuning.model_dump(mode="json"), asked])

    @property
    def higher(self) -> bool:
        """Whether a higher validation score is better; the same for all its tasks."""
        cell = self.templates[0].cell
        headline = tasks.get(cell.task.name, cell.protocol).headline
        return metrics.get(headline).better == "higher"

    def works(
        self, settings: Mapping[str, Any], earlier: Sequence[Mapping[str, Tried]]
    ) -> tuple[Work, ...]:
        """The runs of a trial with these settings; `earlier` are those of earlier trials, by
        task, which the pruner compares it with."""
        return tuple(self._work(one.cell, settings, earlier) for one in self.templates)

    def _work(
        self,
        template: Cell,
        settings: Mapping[str, Any],
        earlier: Sequence[Mapping[str, Tried]],
    ) -> Work:
        cell = with_settings(template, settings).model_copy(
            update={"seed": self.tuning.seed}
        )
        work, bounds = work_on(cell, ()), self._bounds(cell, earlier)
        if all(bound is None for bound in bounds):
            return work
        assert work.train is not None
        trial = Trial(train=work.train, stop_below=bounds)
        return work.model_copy(update={"trial": trial})

    def _bounds(
        self, cell: Cell, earlier: Sequence[Mapping[str, Tried]]
    ) -> tuple[float | None, ...]:
        if self.tuning.pruner == "none" or cell.training is None:
            return ()
        validations = cell.training.validations
        found = [by_task.get(cell.task.name) for by_task in earlier]
        curves = [
            [one.score for one in tried.validations]
            for tried in found
            if tried and len(tried.validations) == validations
        ]
        return median_bounds(curves, validations=validations)


@dataclass
class TuningSource:
    """Trials of every search, each when its predecessor is done, and the final runs of each
    search as soon as its last trial is: a source of wanted work."""

    plan: Plan
    store: Store
    keep_adapters: bool = False
    names: dict[str, str] = field(default_factory=dict)
    """What people call the trials that were asked for, by unit."""
    _asked: set[str] = field(default_factory=set)
    _asked_untuned: bool = False

    @cached_property
    def _states(self) -> list[_State]:
        return [_State(study) for study in studies(self.plan)]

    def ask(self, *, is_idle: bool = False) -> Sequence[Work] | None:
        """What is wanted now; None: all searches have ended and their final runs are wanted.
        `is_idle`: a trial that is missing now was forgotten meanwhile, and is wanted again."""
        if is_idle:
            self._asked.clear()
        works = [] if self._asked_untuned else self._untuned()
        self._asked_untuned = True
        for state in self._open():
            trials = self._advance(state)
            for one in trials:
                assert one.train is not None
                whose, task = state.study.templates[0], one.train.task.name
                name = f"{whose.model} · {whose.label} · {task}"
                self.names.setdefault(one.unit, f"{name} · trial {len(state.tried)}")
            works += trials
            if state.is_over:
                works += self._final_works(state)
                state.is_final = True
        new = [one for one in works if not set(one.step_ids) <= self._asked]
        self._asked |= {step_id for one in new for step_id in one.step_ids}
        if not new and not self._open():
            return None
        return new

    def settled(self) -> Plan:
        """The plan with every tuned cell at its chosen settings; of a search that goes on,
        at the best so far."""
        return _final(self.plan, self._up_to_date())

    def trials_left(self) -> int:
        """How many trials are still to come, of all searches together."""
        return sum(one.study.tuning.trials - len(one.tried) for one in self._up_to_date())

    def _up_to_date(self) -> Sequence[_State]:
        for state in self._states:
            self._advance(state)
        return self._states

    def _untuned(self) -> list[Work]:
        """The runs of cells that have nothing to tune."""
        cells = [one for one in self.plan.cells if one.cell.training is None]
        return wanted(cells, self.store.results, keep_adapters=self.keep_adapters)

    def _open(self) -> list[_State]:
        return [state for state in self._states if not state.is_final]

    def _advance(self, state: _State) -> list[Work]:
        """Go on through the trials that are done; what the first that is not wants."""
        while not state.is_over:
            settings, works = state.trial
            outcomes = self._outcomes(works)
            missing = [
                one for one, found in zip(works, outcomes, strict=True) if found is None
            ]
            if missing:
                return missing
            by_task = {
                template.cell.task.name: found
                for template, found in zip(state.study.templates, outcomes, strict=True)
                if found is not None
            }
            result = _result(len(state.tried), settings, works, outcomes)
            state.take(result, by_task)
        return []

    def _outcomes(self, works: Sequence[Work]) -> list[Tried | None]:
        """How far each run got; None: it is not done."""
        steps = [_tells(one) for one in works]
        found = self.store.results.by_id(step.id for step in steps)
        outcomes: list[Tried | None] = []
        for work, step in zip(works, steps, strict=True):
            result = found.get(step.id)
            if result is None and work.trial is not None:
                # Its run failed before it could be given up: that is the trial's end too.
                assert work.train is not None
                result = self.store.results.by_id([work.train.id]).get(work.train.id)
                if result is not None and result.status == "finished":
                    result = None
            outcomes.append(_as_tried(result.outcome) if result else None)
        return outcomes

    def _final_works(self, state: _State) -> list[Work]:
        """The runs with the settings that a search chose."""
        own = {_place(one) for one in state.study.templates}
        cells = [p for p in _final(self.plan, [state]).cells if _place(p) in own]
        return wanted(cells, self.store.results, keep_adapters=self.keep_adapters)


@dataclass
class _State:
    """How far a search is."""

    study: Study
    tried: list[TrialResult] = field(default_factory=list)
    earlier: list[Mapping[str, Tried]] = field(default_factory=list)
    is_final: bool = False
    """Whether the final runs were asked for."""
    _trial: tuple[Mapping[str, Any], Sequence[Work]] | None = None

    @property
    def trial(self) -> tuple[Mapping[str, Any], Sequence[Work]]:
        """Settings and runs of the trial that is next."""
        if self._trial is None:
            settings = suggest(self.study, self.tried)
            self._trial = settings, self.study.works(settings, self.earlier)
        return self._trial

    def take(self, result: TrialResult, by_task: Mapping[str, Tried]) -> None:
        """Take in how it ended."""
        self.tried.append(result)
        self.earlier.append(by_task)
        self._trial = None

    @property
    def is_over(self) -> bool:
        return len(self.tried) >= self.study.tuning.trials


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


def median_bounds(
    curves: Sequence[Sequence[float]], *, validations: int
) -> tuple[float | None, ...]:
    """For each validation the median of what finished trials scored there, once there are
    enough of them: a trial whose best score lies below is not worth going on (Golovin et al.,
    2017, Google Vizier, section 3.2, in the form of Optuna's `MedianPruner`)."""
    if len(curves) < _STARTUP:
        return (None,) * validations
    return tuple(
        median(curve[place] for curve in curves if len(curve) > place)
        for place in range(validations)
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
    rebuild(changed.method)  # its own checks, before anything runs
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
    works: Sequence[Work],
    outcomes: Sequence[Tried | None],
) -> TrialResult:
    scores = [_validation_score(one) for one in outcomes]
    known = [score for score in scores if score is not None]
    return TrialResult(
        number=number,
        settings=settings,
        score=sum(known) / len(known) if len(known) == len(scores) else None,
        runs=tuple(_tells(work).id for work in works),
        is_pruned=any(one is not None and one.is_pruned for one in outcomes),
    )


def _validation_score(tried: Tried | None) -> float | None:
    if tried is None or tried.status != "finished":
        return None
    scores = (one.score for one in tried.validations if one.step == tried.best_step)
    return next(scores, None)


def _tells(work: Work) -> AnyStep:
    """The step whose outcome says how far a run got."""
    found = work.trial or work.train
    assert found is not None, "a trial trains"
    return found


def _as_tried(outcome: object) -> Tried:
    """A whole run as a trial that was not given up."""
    if isinstance(outcome, Tried):
        return outcome
    assert isinstance(outcome, Trained)
    return Tried(
        status=outcome.status,
        error=outcome.error,
        validations=outcome.validations,
        best_step=outcome.best_step,
    )


def _final(plan: Plan, states: Sequence[_State]) -> Plan:
    """The plan with every cell of these searches at its chosen settings."""
    by_place = {
        _place(template): state
        for state in states
        if state.tried
        for template in state.study.templates
    }
    cells = []
    for planned in plan.cells:
        state = by_place.get(_place(planned))
        if state is not None:
            best = best_trial(state.tried, higher=state.study.higher)
            planned = planned.model_copy(
                update={
                    "cell": with_settings(planned.cell, best.settings),
                    "trials": tuple(state.tried),
                }
            )
        cells.append(planned)
    return replace(plan, cells=tuple(cells))


def _place(planned: PlannedCell) -> tuple[str, str, str]:
    return planned.model, planned.label, planned.cell.task.name
