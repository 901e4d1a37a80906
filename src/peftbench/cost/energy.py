"""Energy of a GPU, by the counter of NVIDIA's management library, where there is one.

Volta and newer count millijoules since the driver was loaded. Where there is no such
counter there is no number: an energy is never 0 because nobody measured it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

#: The counter moves in steps of some tens of milliseconds.
_LEAST_SECONDS = 1.0
_MOST_RUNS = 200


@dataclass(frozen=True)
class EnergyCounter:
    """The counter of one GPU. All that runs on the GPU is in it: nothing else should."""

    library: Any
    handle: Any

    @classmethod
    def of(cls, device: torch.device) -> EnergyCounter | None:
        """The counter of `device`; None where there is none."""
        if device.type != "cuda":
            return None
        try:
            import pynvml

            pynvml.nvmlInit()
            uuid = torch.cuda.get_device_properties(device).uuid
            handle = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}".encode())
            pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
        except Exception:  # no driver, an old GPU, a slice of one: pynvml's own errors
            return None
        return cls(pynvml, handle)

    def joules(self, work: Callable[[], object]) -> float:
        """Mean energy of one run of `work`, over about a second of them."""
        runs, start, before = 0, time.perf_counter(), self._millijoules()
        while runs < 1 or (
            time.perf_counter() - start < _LEAST_SECONDS and runs < _MOST_RUNS
        ):
            work()
            torch.cuda.synchronize()
            runs += 1
        return (self._millijoules() - before) / 1000 / runs

    def _millijoules(self) -> int:
        return int(self.library.nvmlDeviceGetTotalEnergyConsumption(self.handle))
