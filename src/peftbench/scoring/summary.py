"""What a report shows, as a value: every number computed, nothing drawn yet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from peftbench.cost.costs import Cost
from peftbench.evaluation.scores import Baseline
from peftbench.manifest import Manifest
from peftbench.spec import SettledBudget
from peftbench.spec.facts import Better, Leak
from peftbench.spec.frozen import Frozen
from peftbench.store.outcomes import Kind, Provenance, Reported, Status
from peftbench.store.planned import TrialResult
from peftbench.training.validation import Validation


class Interval(Frozen):
    """A mean over seeds with its 95 % confidence interval.

    `low` and `high` are None where there is nothing honest to estimate them from: one
    seed of a method that trains, or scores without their rows.
    """

    mean: float
    low: float | None
    high: float | None
    seeds: int
    over: Literal["seeds and rows", "rows", "seeds"] = "seeds"
    """What was drawn at random: test rows too (the hierarchical bootstrap), rows alone (a
    method without seeds), or seeds alone where no row scores are at hand (Student's t)."""

    @property
    def half_width(self) -> float | None:
        """Half the interval's width, the ± of a table; None where there is none."""
        if self.low is None or self.high is None:
            return None
        return (self.high - self.low) / 2


class Difference(Frozen):
    """The paired mean difference of two methods, first minus second."""

    mean: float
    low: float
    high: float
    p_value: float
    """Two-sided, of no difference; not yet corrected for other comparisons."""


class Estimate(Frozen):
    """A number with its 95 % interval over seeds, where there are several."""

    value: float
    low: float | None
    high: float | None


class Comparison(Frozen):
    """The best method of a task against another one, on the same test rows."""

    model: str
    task: str
    best: str
    method: str
    difference: Difference
    """In headline score, best minus other."""
    adjusted_p_value: float
    """After Holm, over all methods of the task."""
    mcnemar_p_value: float | None
    """Where every row is right or wrong; not corrected."""


class Aggregate(Frozen):
    """One method over all tasks and seeds, on scores corrected for chance."""

    model: str
    method: str
    interquartile_mean: Estimate
    improvement: Estimate | None
    """Probability that a run of the method with the best interquartile mean is better
    than one of this; None for that method itself."""
    profile: tuple[float, ...]
    """Share of runs above each of `PROFILE_THRESHOLDS`, every task counting the same."""


#: Chance-corrected scores at which performance profiles are read.
PROFILE_THRESHOLDS = tuple(step / 20 for step in range(-4, 21))


class CriticalDifference(Frozen):
    """Whether average ranks over tasks differ by more than chance; see
    `scoring/critical_difference.py`."""

    friedman_p_value: float
    distance: float
    """Nemenyi's: average ranks further apart differ at the 5 % level."""
    average_ranks: Mapping[str, float]
    nemenyi_cliques: tuple[tuple[str, ...], ...]
    wilcoxon_cliques: tuple[tuple[str, ...], ...]


class OtherScore(Frozen):
    """What the runs of an entry scored beside the headline."""

    test_set: str
    """"test" for the task's own split."""
    metric: str
    unit: str
    better: Better
    by_seed: Mapping[str, float]


class Entry(Frozen):
    """One place of the headline table: a method on a task, on one model."""

    model: str
    method: str
    """The method's label."""
    task: str
    by_seed: Mapping[str, float]
    """Headline score by seed; the one key "-" where the method trains nothing."""
    interval: Interval | None
    """None where no seed finished."""
    complete: bool
    """Whether every seed that was asked for has finished."""
    is_best: bool = False
    is_tied_with_best: bool = False
    """Not told apart from the best by the paired test (Holm-corrected, 5 %)."""
    other_scores: tuple[OtherScore, ...] = ()
    """The task's further metrics, and its further test sets."""


class TaskInfo(Frozen):
    """What the report says of a task."""

    name: str
    description: str
    is_generated: bool
    metric: str
    """The headline; empty, as is the unit, where no record tells."""
    unit: str
    better: Better
    test_examples: int | None
    baselines: tuple[Baseline, ...] = ()
    """The majority class or best constant, on the headline metric."""
    leaks: tuple[Leak, ...] = ()
    """Prompts and groups that stand in two splits, as its runs counted them; no zeros."""


class MethodInfo(Frozen):
    """What the report says of a method."""

    label: str
    name: str
    parameters: Mapping[str, Any]
    family: str
    paper: str
    trains: bool
    learning_rate: float | None
    """None where nothing is trained, where it is not told, or where runs have several."""
    varied: Mapping[str, tuple[Any, ...]] = {}
    """What tuning chose differently from task to task, `learning_rate` too: all values."""
    budgets: Mapping[str, SettledBudget] = {}
    """By model, where a budget chose the method's size: what was asked and what came out."""


class Precision(Frozen):
    """In what precision the cells of some methods on a model were computed."""

    model: str
    methods: tuple[str, ...]
    """Their labels."""
    weights: str
    """Of the frozen weights; empty where an import does not tell."""
    training: str
    """Of forward and backward passes; empty where nothing trains, or it is not told."""


class PscpInputs(Frozen):
    """The three costs that PSCP counts, in its own order."""

    trainable_parameters: int
    extra_forward_flops: float
    """Of one inference input, more than the base model's; at least 0."""
    peak_memory_bytes: float


class Standing(Frozen):
    """One method on one model over all tasks."""

    model: str
    method: str
    average_rank: float | None
    """Mean over tasks of the rank among the methods (1 is best; ties share the mean
    rank); None where a task is missing."""
    mean_score: float | None
    """Mean over tasks of the headline, times 100; None where a task or seed is missing
    (a mean over unequal sets is not a mean of the same thing), or `Summary.no_mean` says
    why nobody has one."""
    mean_interval: Interval | None = None
    """Of `mean_score`: other seeds and other test rows of the same tasks."""
    is_mean_tied: bool = False
    """Not told from the best mean score by the paired bootstrap (Holm, 5 %)."""
    is_pscp_tied: bool = False
    """Not told from the best PSCP, its factors being taken as exact."""
    parameter_factor: float | None = None
    flops_factor: float | None = None
    memory_factor: float | None = None
    pscp: float | None = None
    """None, as is PPT, where there is no mean score or a cost is not known, or
    `Summary.no_pscp` says why nobody has one."""
    ppt: float | None = None
    cost: Cost | None = None
    """As the meter measured it."""
    reported: Reported | None = None
    """As an import or a publication tells it: what all its records say alike."""

    @property
    def pscp_inputs(self) -> PscpInputs | None:
        """Measured, else reported; None where one of the three is not known."""
        if self.cost:
            return PscpInputs(
                trainable_parameters=self.cost.trainable_parameters,
                extra_forward_flops=max(0, self.cost.extra_forward_flops),
                peak_memory_bytes=self.cost.peak_memory.total,
            )
        told = self.reported
        if (
            told is None
            or told.trainable_parameters is None
            or told.extra_forward_flops is None
            or told.memory_peak_bytes is None
        ):
            return None
        return PscpInputs(
            trainable_parameters=told.trainable_parameters,
            extra_forward_flops=told.extra_forward_flops,
            peak_memory_bytes=told.memory_peak_bytes,
        )


class Search(Frozen):
    """How the settings of a method on a task were chosen."""

    model: str
    method: str
    task: str
    trials: tuple[TrialResult, ...]
    chosen: int
    """Number of the trial whose settings the final runs have."""
    expected_best: tuple[float, ...]
    """Validation score to expect of the best of 1, 2, ... trials."""


class Curve(Frozen):
    """The validations of one run."""

    model: str
    method: str
    task: str
    seed: str
    validations: tuple[Validation, ...]


class Robustness(Frozen):
    """A method's adapters on one perturbed test set of one task, on one model."""

    model: str
    method: str
    task: str
    test_set: str
    metric: str
    """The task's headline; empty, as is the unit, where no seed was scored."""
    unit: str
    better: Better
    examples: int | None
    constant: float | None
    """What the best constant answer scores on the perturbed rows: the c of retention."""
    clean_constant: float | None
    """The same on the clean test split."""
    by_seed: Mapping[str, Mapping[str, float]]
    """"clean", "perturbed", "drop" and "retention", each by seed."""
    clean: Interval | None
    perturbed: Interval | None
    drop: Interval | None
    """Clean minus perturbed score, seed by seed (the other way where lower is better)."""
    retention: Interval | None
    """None where it is not defined for every seed that was scored."""
    complete: bool
    """Whether every seed that was asked for has been scored."""
    reason: str = ""
    """Why a number is absent."""


class Trouble(Frozen):
    """A cell without a score: failed with its reason, not run yet, or its headline metric
    unavailable where it was run."""

    cell: str
    model: str
    method: str
    task: str
    seed: str
    status: Status | Literal["missing", "unavailable"]
    reason: str


class ReportedRun(Frozen):
    """What an import says that one run cost."""

    model: str
    method: str
    task: str
    seed: str
    stored_bytes: int | None
    costs: Reported


class Claim(Frozen):
    """An average that a publication states, and what follows from its own table."""

    model: str
    method: str
    stated_mean: float
    stated_pscp: float | None
    mean: float | None
    """Over all tasks of the published table; None where it lacks some."""
    pscp: float | None
    """From that mean and the published costs."""
    explanation: str


class Summary(Frozen):
    """All of one benchmark in one store."""

    schema_version: Literal[1] = 1
    name: str
    description: str
    protocol: str
    spec: Mapping[str, Any]
    models: tuple[str, ...]
    methods: tuple[MethodInfo, ...]
    tasks: tuple[TaskInfo, ...]
    precisions: tuple[Precision, ...] = ()
    """One for every model, precision of its weights and precision of training."""
    seeds: tuple[int, ...]
    entries: tuple[Entry, ...]
    standings: tuple[Standing, ...]
    mean_better: Better = "higher"
    """Which way mean scores count: as all their tasks do."""
    no_mean: str = ""
    """Why there are no mean scores at all; empty where there can be."""
    no_pscp: str = ""
    """The same of PSCP and PPT."""
    comparisons: tuple[Comparison, ...] = ()
    rank_tests: Mapping[str, CriticalDifference] = {}
    """By model; without those that have too few methods or tasks."""
    aggregates: tuple[Aggregate, ...] = ()
    searches: tuple[Search, ...] = ()
    curves: tuple[Curve, ...]
    troubles: tuple[Trouble, ...]
    robustness: tuple[Robustness, ...] = ()
    """Adapters on perturbed test sets; empty where none were scored."""
    cells: int
    finished_cells: int
    manifests: tuple[Manifest, ...]
    """One for every distinct machine and set of versions that took part."""
    kind: Kind = "run"
    """Whose results these are."""
    provenances: tuple[Provenance, ...] = ()
    """Where imported results come from, one for each tool and folder."""
    reported_runs: tuple[ReportedRun, ...] = ()
    """Costs of single runs as imports tell them."""
    rescored_cells: int = 0
    """How many were scored again after they were run; their newest scores are shown."""
    claims: tuple[Claim, ...] = ()
    """Averages that a publication states, beside those of its own table."""
    peftbench_version: str

    def precisions_on(self, model: str) -> tuple[Precision, ...]:
        """Those in which cells on a model were computed."""
        return tuple(one for one in self.precisions if one.model == model)

    def entry(self, model: str, method: str, task: str) -> Entry | None:
        """The entry at one place of the table."""
        found = (
            entry
            for entry in self.entries
            if (entry.model, entry.method, entry.task) == (model, method, task)
        )
        return next(found, None)
