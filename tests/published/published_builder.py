"""Single records of two kinds and protocols."""

from __future__ import annotations

from typing import Any

from peftbench import published
from peftbench.published._summary import _records
from peftbench.store import Record


def published_record() -> Record:
    """The first of the published table."""
    _, record = next(iter(_records(published.read("peft-bench-v1"))))
    return record


def own_record(protocol: Any) -> Record:
    """As a run of ours would leave it."""
    record = published_record()
    method = record.cell.method.model_copy(update={"name": "ia3"})
    cell = record.cell.model_copy(
        update={"protocol": protocol, "origin": None, "method": method}
    )
    return record.model_copy(update={"kind": "run", "cell": cell, "provenance": None})
