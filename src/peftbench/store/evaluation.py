"""What is stored of an adapter scored on a perturbed test set. Written once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from peftbench.evaluation.scores import Score
from peftbench.manifest import Manifest
from peftbench.spec.frozen import Frozen, digest


class TestSet(Frozen):
    """A perturbed test set, the version of its reading, and the rows it stands for."""

    __test__ = False  # the name is no test's, whatever pytest makes of it

    name: str
    version: int
    data: str
    """"sha256:<digest of the file>" or "<hub id>@<commit>"."""
    source: str | None = None
    """Digest of a plug-in's file; None: the set comes with a package."""


class Constant(Frozen):
    """The one answer that scores best when given to every row of a test set."""

    answer: str
    value: float


class Comparison(Frozen):
    """A score on perturbed rows beside that on the cell's own test split.

    Both are read in the labels that the set tells apart: answers and targets of the test
    split are merged as those of the set are.
    """

    scores: tuple[Score, ...]
    """On the perturbed rows; the task's headline metric first."""
    constant: Constant
    """On the perturbed rows."""
    clean: Score
    """The headline metric on the test split."""
    clean_constant: Constant
    """On the test split."""


class Evaluation(Frozen):
    """One finished cell's adapter on one perturbed test set.

    A result of its own: the cell's record is not touched, whether the set was scored right
    after training or later from a kept adapter.
    """

    schema_version: Literal[1] = 1
    cell_id: str
    test_set: TestSet
    manifest: Manifest
    error: str | None = None
    """Why there is no score: what happened and what to do next."""
    comparison: Comparison | None = None
    """None where there is an error."""
    counts: Mapping[str, int] = {}
    seconds: Mapping[str, float] = {}

    @property
    def id(self) -> str:
        """SHA-256 over the cell and the set: the same question has one answer."""
        return digest([self.cell_id, self.test_set.model_dump(mode="json")])


class RescoredEvaluation(Frozen):
    """A new comparison for an evaluation, from its stored predictions and the cell's."""

    evaluation_id: str
    cell_id: str
    scorer: str
    """SHA-256 of the code that reads answers and computes metrics."""
    peftbench_version: str
    rescored_at: str
    comparison: Comparison

    def applied_to(self, evaluation: Evaluation) -> Evaluation:
        """The evaluation as reports show it."""
        return evaluation.model_copy(update={"comparison": self.comparison})
