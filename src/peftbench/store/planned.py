"""A cell of a benchmark: what was asked, under the names that people read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from peftbench.spec.cell import Cell, SettledBudget
from peftbench.spec.facts import MethodFacts, TaskFacts
from peftbench.spec.frozen import Frozen
from peftbench.spec.steps import Predict, TestSet


class TrialResult(Frozen):
    """One setting that tuning tried, and what it reached on the validation part."""

    number: int
    """From 0, which is the method's default."""
    settings: Mapping[str, Any]
    score: float | None
    """Best validation score; the mean over tasks where one setting serves all. None where
    a run failed."""
    runs: tuple[str, ...]
    """Ids of the steps: one, or one for each task."""
    is_pruned: bool = False


def best_trial(trials: Sequence[TrialResult], *, higher: bool) -> TrialResult:
    """The trial with the best validation score; of equal ones the first, which is nearer
    to the default. The default where none has a score."""
    scored = [trial for trial in trials if trial.score is not None]
    if not scored:
        return trials[0]
    sign = 1 if higher else -1
    return max(scored, key=lambda t: (sign * (t.score or 0.0), -t.number))


class PlannedCell(Frozen):
    """A cell, what the report calls its model and method, and how its settings were found."""

    cell: Cell
    model: str
    label: str
    task: TaskFacts
    method: MethodFacts = MethodFacts()
    budget: SettledBudget | None = None
    """What its method's size was chosen by."""
    trials: tuple[TrialResult, ...] = ()
    """How its settings were chosen; empty where they were given."""
    further_tests: tuple[str, ...] = ()
    """Names of the task's further tests that there are rows for."""
    perturbed: tuple[TestSet, ...] = ()
    """Perturbed sets that its adapter is scored on."""

    @property
    def test_sets(self) -> tuple[TestSet, ...]:
        """All that its adapter is asked, the test split first."""
        further = (TestSet(name=name) for name in self.further_tests)
        return (TestSet(), *further, *self.perturbed)

    @cached_property
    def predicts(self) -> tuple[Predict, ...]:
        """The steps that ask them."""
        return tuple(self.cell.predict(one) for one in self.test_sets)

    @property
    def name(self) -> str:
        """How people call it: "tiny · lora · sst2 · seed 1"."""
        seed = "" if self.cell.seed is None else f" · seed {self.cell.seed}"
        return f"{self.model} · {self.label} · {self.cell.task.name}{seed}"
