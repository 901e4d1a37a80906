"""Results that other tools wrote, as records. One file for each tool."""

from __future__ import annotations

from peftbench.imports._imported import Imported, Outcome, keep

__all__ = ["Imported", "Outcome", "keep"]
