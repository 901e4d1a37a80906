"""What was asked: a validated, frozen benchmark, the cells it stands for, and their steps."""

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
    TrainingSection,
    Tuning,
)
from peftbench.spec.cell import Cell, CellModel, SettledBudget
from peftbench.spec.read import from_mapping, read_benchmark
from peftbench.spec.steps import (
    TEST,
    AnyStep,
    Base,
    CellMethod,
    CellTask,
    Grade,
    Measure,
    Predict,
    Probe,
    Step,
    TestSet,
    Train,
    Trial,
)
from peftbench.spec.suites import suite_names

__all__ = [
    "TEST",
    "AnyStep",
    "Base",
    "Benchmark",
    "Budget",
    "Cell",
    "CellMethod",
    "CellModel",
    "CellTask",
    "Grade",
    "Limits",
    "Measure",
    "MethodChoice",
    "ModelChoice",
    "Predict",
    "Probe",
    "Protocol",
    "Range",
    "Sampling",
    "SettledBudget",
    "Step",
    "TestSet",
    "Train",
    "Training",
    "TrainingSection",
    "Trial",
    "Tuning",
    "from_mapping",
    "read_benchmark",
    "suite_names",
]
