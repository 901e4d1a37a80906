"""The tiny model's card, written from the run's metrics."""

from __future__ import annotations

from typing import Any


def text(metrics: dict[str, Any]) -> str:
    """The card (to be written in full)."""
    return str(metrics["tokens_seen"])
