"""What was asked: a validated, frozen benchmark, and the cells (runs) it stands for."""

from __future__ import annotations

from peftbench.spec.benchmark import (
    Benchmark,
    Limits,
    MethodChoice,
    ModelChoice,
    Protocol,
    Training,
)
from peftbench.spec.cell import Cell, CellMethod, CellModel, CellTask
from peftbench.spec.read import from_mapping, read_benchmark
from peftbench.spec.suites import suite_names

__all__ = [
    "Benchmark",
    "Cell",
    "CellMethod",
    "CellModel",
    "CellTask",
    "Limits",
    "MethodChoice",
    "ModelChoice",
    "Protocol",
    "Training",
    "from_mapping",
    "read_benchmark",
    "suite_names",
]
