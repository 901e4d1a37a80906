"""Every result, once, durably."""

from __future__ import annotations

from peftbench.store._checkpoints import Checkpoints
from peftbench.store._evaluations import Evaluated, Evaluations
from peftbench.store._predictions import Prediction, predictions_file, write_predictions
from peftbench.store._rescored import Rescored, Rescorings, in_force
from peftbench.store._store import (
    Lease,
    LeaseLost,
    PlannedCell,
    Store,
    StoredBenchmark,
)
from peftbench.store._worker import Worker
from peftbench.store.evaluation import (
    Evaluation,
    PerturbedCounts,
    RescoredEvaluation,
    TestSet,
)
from peftbench.store.record import (
    Counts,
    Kind,
    Provenance,
    Record,
    Reported,
    TrialResult,
)

__all__ = [
    "Checkpoints",
    "Counts",
    "Evaluated",
    "Evaluation",
    "Evaluations",
    "Kind",
    "Lease",
    "LeaseLost",
    "PerturbedCounts",
    "PlannedCell",
    "Prediction",
    "Provenance",
    "Record",
    "Reported",
    "Rescored",
    "RescoredEvaluation",
    "Rescorings",
    "Store",
    "StoredBenchmark",
    "TestSet",
    "TrialResult",
    "Worker",
    "in_force",
    "predictions_file",
    "write_predictions",
]
