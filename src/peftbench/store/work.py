"""Work that is wanted: the steps on one adapter, which one worker does in one go."""

from __future__ import annotations

from peftbench.spec.frozen import Frozen
from peftbench.spec.steps import AnyStep, Grade, Measure, Predict, Train, Trial


class Look(Frozen):
    """Answers to a test set, and how they are graded."""

    predict: Predict
    grade: Grade | None
    """None: they are graded already."""


class Work(Frozen):
    """Steps that share an adapter, in the order they are done: what a worker claims.

    What the ledger has of them already is not done again.
    """

    unit: str
    """What is claimed: the id of the step that the others look at."""
    model: str
    """The base model's name; what it is stands in the steps."""
    location: str | None = None
    """See `CellMethod.location`."""
    train: Train | None = None
    trial: Trial | None = None
    """Give the run up where it falls behind."""
    looks: tuple[Look, ...] = ()
    measure: Measure | None = None
    keep_adapter: bool = False
    """Whether the adapter stays when the work is done, however large it is."""

    @property
    def steps(self) -> tuple[AnyStep, ...]:
        """All its steps, in the order they are done."""
        looks = (step for one in self.looks for step in (one.predict, one.grade))
        every = (self.train, self.trial, self.measure, *looks)
        return tuple(step for step in every if step is not None)

    @property
    def step_ids(self) -> tuple[str, ...]:
        """Their ids."""
        return tuple(step.id for step in self.steps)
