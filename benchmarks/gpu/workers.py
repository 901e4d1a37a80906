"""What it brings to let several workers share a GPU, with a model that leaves it idle."""

from __future__ import annotations

import time
from typing import Any

from benchmarks.gpu.size import Size, rounded

from peftbench import Experiment


def run(size: Size) -> dict[str, Any]:
    """Seconds of the same grid with several numbers of workers, their start included."""
    return {"model": "Llama, 135m", "runs": [_grid(size, count) for count in size.workers]}


def _grid(size: Size, workers: int) -> dict[str, Any]:
    spec = {
        "name": f"workers-{workers}",
        "models": [{"name": str(size.model("135m")), "dtype": "bfloat16"}],
        "methods": ["lora"],
        "tasks": ["generated_sums"],
        "seeds": list(range(1, size.choose(8, 1) + 1)),
        "training": {"steps": size.choose(20, 2), "batch_size": 16, "validations": 1},
        "limits": {"train": 256, "validation": 8, "test": size.choose(32, 4)},
    }
    start = time.monotonic()
    with Experiment(spec, store=size.folder / str(spec["name"])) as experiment:
        experiment.run(workers=workers, measure_costs=False)
        ended = [record for _, record in experiment.ended()]
    phases: dict[str, float] = {}
    for record in ended:
        for phase, seconds in record.seconds.items():
            phases[phase] = phases.get(phase, 0.0) + seconds
    return {
        "workers": workers,
        "wall_seconds": round(time.monotonic() - start, 1),
        "finished": sum(record.status == "finished" for record in ended),
        "seconds_of_all_cells": rounded(phases),
    }
