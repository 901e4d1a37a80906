"""What was asked: a validated, frozen benchmark, and the cells (runs) it stands for."""

from __future__ import annotations

from peftbench.spec.benchmark import (
    Benchmark,
    Budget,
    Limits,
    MethodChoice,
    ModelChoice,
    Protocol,
    Range,
    Sampling,
    Training,
    Tuning,
)
from peftbench.spec.cell import Cell, CellMethod, CellModel, CellTask, SettledBudget, Trial
from peftbench.spec.read import from_mapping, read_benchmark
from peftbench.spec.suites import suite_names

__all__ = [
    "Benchmark",
    "Budget",
    "Cell",
    "CellMethod",
    "CellModel",
    "CellTask",
    "Limits",
    "MethodChoice",
    "ModelChoice",
    "Protocol",
    "Range",
    "Sampling",
    "SettledBudget",
    "Training",
    "Trial",
    "Tuning",
    "from_mapping",
    "read_benchmark",
    "suite_names",
]
