"""How many worker processes suit a plan on this machine."""

from __future__ import annotations

import math
import os

from peftbench.models._device import gpu_memory_bytes, visible_gpus
from peftbench.planning.fit import HEADROOM
from peftbench.planning.memory_forecast import MemoryForecast
from peftbench.planning.plan import Plan

#: Processes that share a GPU at most; see docs/decisions/0102.
MOST_PER_GPU = 4
#: Of what training needs at its peak: evaluation may need as much, and none may run out.
_ROOM = 2 * HEADROOM
#: What a process takes of a GPU before it holds any tensor: context and kernels.
_CONTEXT_BYTES = 600_000_000


def default_workers(plan: Plan) -> int:
    """On a CPU one per core. On every GPU as many as hold the plan's largest cell side by
    side with room to spare, and have a core each; one where that cannot be told."""
    cores = len(os.sched_getaffinity(0))
    gpus = len(visible_gpus())
    if not gpus:
        return cores
    side_by_side = _side_by_side(plan, gpu_memory_bytes())
    return gpus * max(1, min(MOST_PER_GPU, cores // gpus, side_by_side))


def share_of_memory(memory: int, workers: int) -> int:
    """Bytes for each of the workers that share a device of so much memory: each has a base
    model of its own."""
    return memory // math.ceil(workers / max(1, len(visible_gpus())))


def _side_by_side(plan: Plan, memory: int | None) -> int:
    forecast = MemoryForecast(plan)
    needed = [
        forecast.bytes_of(one.cell, (one.cell.max_length, None)) for one in plan.cells
    ]
    told = [one for one in needed if one is not None]
    if memory is None or len(told) < len(needed):
        return 1
    return int(memory / (max(told, default=0) * _ROOM + _CONTEXT_BYTES))
