"""Every result, once, durably: the ledger of steps and their files."""

from __future__ import annotations

from peftbench.store._checkpoints import Checkpoints
from peftbench.store._claims import Lease, LeaseLost
from peftbench.store._queue import Claimed, Event, Queue
from peftbench.store._results import ADAPTER, Contradiction, Result, Results
from peftbench.store._rows import (
    MARKS,
    PREDICTIONS,
    read_marks,
    read_predictions,
    row_scores,
    write_marks,
    write_predictions,
)
from peftbench.store._store import Store, StoredBenchmark
from peftbench.store.outcomes import (
    Graded,
    Kind,
    Outcome,
    Predicted,
    Provenance,
    Reported,
    Status,
    Trained,
    Tried,
)
from peftbench.store.planned import PlannedCell, TrialResult
from peftbench.store.record import Counts, Evaluation, Record
from peftbench.store.work import Look, Work

__all__ = [
    "ADAPTER",
    "MARKS",
    "PREDICTIONS",
    "Checkpoints",
    "Claimed",
    "Contradiction",
    "Counts",
    "Evaluation",
    "Event",
    "Graded",
    "Kind",
    "Lease",
    "LeaseLost",
    "Look",
    "Outcome",
    "PlannedCell",
    "Predicted",
    "Provenance",
    "Queue",
    "Record",
    "Reported",
    "Result",
    "Results",
    "Status",
    "Store",
    "StoredBenchmark",
    "Trained",
    "TrialResult",
    "Tried",
    "Work",
    "read_marks",
    "read_predictions",
    "row_scores",
    "write_marks",
    "write_predictions",
]
