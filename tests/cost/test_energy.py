"""Energy is what the GPU's counter says; without one there is no number."""

from __future__ import annotations

import pytest
import torch

from peftbench.cost import energy
from peftbench.cost.energy import EnergyCounter


class FakeLibrary:
    """A counter that every run of the work moves on by 2,500 millijoules."""

    def __init__(self) -> None:
        self.millijoules = 10_000

    def work(self) -> None:
        self.millijoules += 2_500

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: str) -> int:  # noqa: N802
        assert handle == "gpu"
        return self.millijoules


def test_joules_are_those_of_one_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    monkeypatch.setattr(energy, "_MOST_RUNS", 7)
    library = FakeLibrary()
    assert EnergyCounter(library, "gpu").joules(library.work) == 2.5
    assert library.millijoules == 10_000 + 7 * 2_500


def test_a_cpu_has_no_counter() -> None:
    assert EnergyCounter.of(torch.device("cpu")) is None
