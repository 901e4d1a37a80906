"""What is stored of an adapter scored on a perturbed test set. Written once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from peftbench.evaluation.scores import PerturbedScores
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


class PerturbedCounts(Frozen):
    """Rows of a perturbed set."""

    examples: int
    rows_not_asked: int
    """Left out because the set's reading asks nothing of them."""
    prompts_cut: int
    """At their start, to fit into the model."""


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
    comparison: PerturbedScores | None = None
    """None where there is an error."""
    counts: PerturbedCounts | None = None
    """None where there is an error."""
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
    comparison: PerturbedScores

    def applied_to(self, evaluation: Evaluation) -> Evaluation:
        """The evaluation as reports show it."""
        return evaluation.model_copy(update={"comparison": self.comparison})
