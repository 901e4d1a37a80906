"""Every method once, on the embedded model in bfloat16, trained in mixed precision."""

from __future__ import annotations

import time
from typing import Any

from benchmarks.gpu.size import Size, rounded

from peftbench import Experiment, methods

WORKERS = 8


def run(size: Size) -> dict[str, Any]:
    """How each cell ended, what it scored, and the seconds of its phases."""
    chosen = size.methods or size.choose(methods.names(), ("base", "lora"))
    spec = {
        "name": "methods",
        "models": [{"name": "tiny", "dtype": "bfloat16"}],
        "methods": list(chosen),
        "tasks": ["generated_mood"],
        "seeds": [1],
        "training": {
            "steps": size.choose(8, 2),
            "batch_size": 8,
            "validations": 1,
            "max_length": 128,
            "precision": "bfloat16",
        },
        "limits": {"train": 64, "validation": 8, "test": size.choose(64, 4)},
    }
    start = time.monotonic()
    with Experiment(spec, store=size.folder / "methods") as experiment:
        workers = size.choose(WORKERS, 1)
        experiment.run(workers=workers, measure_costs=False)
        found = {
            planned.label: {
                "status": record.status,
                "error": record.error and record.error.splitlines()[0],
                "score": record.headline and record.headline.value,
                "not_repeatable": record.manifest.not_repeatable,
                "seconds": rounded(record.seconds),
            }
            for planned, record in experiment.ended()
        }
    return {"workers": workers, "wall_seconds": time.monotonic() - start, "methods": found}
