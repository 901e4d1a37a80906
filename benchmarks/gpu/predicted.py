"""What `costs.py` measured on a GPU beside what is predicted for it; any machine will do.

It reads gpu-costs.json in the folder of results.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import time
from typing import Any

from benchmarks.gpu.costs import model_of
from benchmarks.gpu.size import Size

from peftbench.cost.compare import NoCost, predict_all
from peftbench.cost.costs import Cost
from peftbench.spec import MethodChoice, ModelChoice, Probe

COUNTED = ("trainable_parameters", "stored_bytes", "forward_flops", "training_step_flops")


def run(size: Size) -> dict[str, Any]:
    """Both numbers of every method, measured first, and the seconds of the prediction."""
    told = json.loads((size.results / "gpu-costs.json").read_text("utf-8"))
    device = "cpu" if told["device"] == "cpu" else "cuda"
    told["found"]["methods"] = [m for m in told["found"]["methods"] if "basis" in m]
    for one in told["found"]["methods"]:
        one.pop("step_share_of_best")
    measured = [Cost.model_validate(one) for one in told["found"]["methods"]]
    jobs = [(model_of(size), one.method.name, device, one.probe) for one in measured]
    if size.is_toy:
        predicted = [predict(*job) for job in jobs]
    else:
        with multiprocessing.get_context("spawn").Pool(os.cpu_count()) as pool:
            predicted = pool.starmap(predict, jobs, chunksize=1)
    rows = [_beside(seen, *said) for seen, said in zip(measured, predicted, strict=True)]
    return {"device": device, "methods": rows}


def predict(
    model: ModelChoice, method: str, device: Any, probe: Probe
) -> tuple[Cost | NoCost, float]:
    """For a device that need not be here, from the config alone; and the seconds it took."""
    start = time.perf_counter()
    (said,) = predict_all(model, [MethodChoice(name=method)], device, probe)
    return said, round(time.perf_counter() - start, 2)


def _beside(seen: Cost, said: Cost | NoCost, seconds: float) -> dict[str, Any]:
    found: dict[str, Any] = {
        "method": seen.method.name,
        "precision": seen.probe.precision,
        "seconds": seconds,
    }
    if isinstance(said, NoCost):
        return found | {"not_predicted": said.reason}
    for name in COUNTED:
        found[name] = [getattr(seen, name), getattr(said, name)]
    for name in ("total", "weights", "adapter", "gradients", "optimizer", "activations"):
        found[f"{name}_bytes"] = [getattr(one.peak_memory, name) for one in (seen, said)]
    return found
