"""A cell: one row of the grid, model × method × task × seed, and the steps it stands for."""

from __future__ import annotations

from functools import cached_property

from peftbench.spec.benchmark import (
    BudgetUnit,
    Limits,
    Protocol,
    Sampling,
    Training,
)
from peftbench.spec.frozen import Count, Frozen
from peftbench.spec.steps import TEST, Base, CellMethod, CellTask, Predict, TestSet, Train


class CellModel(Frozen):
    """The base model, down to the bytes of its weights, and how it is asked."""

    name: str
    identity: str  # as in `Base`
    dtype: str
    chat_template: bool | None
    chat_rendering: str | None = None  # as in `Train`

    @property
    def base(self) -> Base:
        """Its weights, whatever it is called."""
        return Base(identity=self.identity, dtype=self.dtype)


class SettledBudget(Frozen):
    """What a budget came to on one model. No part of a cell: a rank that was asked for by
    its size is the same rank."""

    knob: str  # the setting that was turned
    value: int
    unit: BudgetUnit
    requested: float
    achieved: float


class Cell(Frozen):
    """One fine-tuning run and its evaluation, as people speak of it.

    It is a view: what is computed are its steps, `train` and a `predict` for each test set,
    which other cells may share. A method that trains nothing has neither `seed` nor
    `training`: its one cell stands for every seed. A cell with an `origin` was run by
    somebody else; what they do not tell is absent: None, "" or 0.
    """

    model: CellModel
    method: CellMethod
    task: CellTask
    seed: Count | None
    training: Training | None
    max_length: Count
    limits: Limits
    sampling: Sampling | None = None  # None: no metric of the task takes samples
    protocol: Protocol
    origin: str | None = None  # "<tool> sha256:<digest of its files>"; None: our own run

    @cached_property
    def train(self) -> Train | None:
        """The step that makes its adapter; None where nothing is trained."""
        if self.training is None and self.origin is None:
            return None
        return Train(
            base=self.model.base,
            chat_template=self.model.chat_template,
            chat_rendering=self.model.chat_rendering,
            method=self.method,
            task=self.task,
            protocol=self.protocol,
            train_limit=self.limits.train,
            validation_limit=self.limits.validation,
            max_length=self.max_length,
            seed=self.seed,
            training=self.training,
            origin=self.origin,
        )

    def predict(self, test_set: TestSet | None = None) -> Predict:
        """The step that writes its answers to a test set, by default the test split."""
        return Predict(
            base=self.model.base,
            chat_template=self.model.chat_template,
            chat_rendering=self.model.chat_rendering,
            adapter=self.train.id if self.train else None,
            method=None if self.train else self.method,
            task=self.task,
            protocol=self.protocol,
            test_set=test_set or TestSet(name=TEST),
            test_limit=self.limits.test,
            max_length=self.max_length,
            sampling=self.sampling,
            sampling_seed=(self.seed or 0) if self.sampling else None,
            origin=self.origin,
        )

    @cached_property
    def id(self) -> str:
        """Id of what its headline score is read from: its answers to the test split."""
        return self.predict().id

    @property
    def short_id(self) -> str:
        """The first twelve digits of `id`: enough to name the cell on a screen."""
        return self.id[:12]
