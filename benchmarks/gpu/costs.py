"""Ten methods on a large Llama: what the meter reads beside what is predicted, and how much
of the card's best a training step reaches."""

from __future__ import annotations

import multiprocessing
import time
from typing import Any

from benchmarks.gpu.ceilings import run as ceilings
from benchmarks.gpu.size import Size

from peftbench.cost.compare import NoCost, default_probe, measure_all, predict_all
from peftbench.cost.costs import Cost
from peftbench.models import describe
from peftbench.models._device import this_device
from peftbench.spec import MethodChoice, ModelChoice, Probe

METHODS = (
    "lora", "dora", "ia3", "prefix-tuning", "full",
    "bitfit", "ln-tuning", "prompt-tuning", "sequential-bottleneck", "vera",
)  # fmt: skip
#: Those that are measured in float32 too.
IN_BOTH = 5


def run(size: Size) -> dict[str, Any]:
    """Numbers of both for every method, and the seconds that a prediction took."""
    model = ModelChoice(name=str(size.model("1.3b")), dtype="bfloat16")
    names = size.choose(METHODS, METHODS[:2])
    both = size.choose(IN_BOTH, 1)
    best = ceilings(size)["bfloat16_tflops"]
    measured = []
    for precision, chosen in (("bfloat16", names), ("float32", names[:both])):
        probe = _probe(size, model, precision)
        choices = [MethodChoice(name=name) for name in chosen]
        measured += zip(choices, measure_all(model, choices, probe), strict=True)
    jobs = [
        (model, choice, outcome.probe)
        for choice, outcome in measured
        if isinstance(outcome, Cost)
    ]
    context = multiprocessing.get_context("spawn")
    with context.Pool(size.choose(8, 1)) as pool:
        predicted = iter(pool.starmap(predict, jobs))
    return {
        "model": f"Llama, {size.choose('1.3b', 'toy')}, bfloat16 weights",
        "best_tflops": best,
        "methods": [
            _failed(choice, outcome)
            if isinstance(outcome, NoCost)
            else _beside(choice, outcome, *next(predicted), best)
            for choice, outcome in measured
        ],
    }


def predict(
    model: ModelChoice, choice: MethodChoice, probe: Probe
) -> tuple[Cost | NoCost, float]:
    """For the device that is here, from the config alone; and the seconds it took."""
    start = time.perf_counter()
    (said,) = predict_all(model, [choice], this_device(), probe)
    return said, time.perf_counter() - start


def _probe(size: Size, model: ModelChoice, precision: Any) -> Probe:
    probe = default_probe(describe(model).config, repeats=3, precision=precision)
    small = {"inference_length": 16, "training_length": 16, "new_tokens": 2}
    return probe.model_copy(update=small) if size.is_toy else probe


def _beside(
    choice: MethodChoice, seen: Cost, said: Cost | NoCost, seconds: float, best: float
) -> dict[str, Any]:
    assert seen.step_seconds
    reached = seen.training_step_flops / seen.step_seconds / 1e12
    found = {
        "method": choice.label,
        "precision": seen.probe.precision,
        "step_seconds": round(seen.step_seconds, 5),
        "step_share_of_best": round(reached / best, 4),
        "token_seconds": seen.token and round(seen.token.median, 5),
        "token_merged_seconds": seen.token_merged and round(seen.token_merged.median, 5),
        "load_seconds": seen.load and round(seen.load.median, 4),
        "allocated_bytes": seen.peak_memory.allocated,
        "prediction_seconds": round(seconds, 2),
    }
    if isinstance(said, NoCost):
        return found | {"not_predicted": said.reason}
    for name in (
        "trainable_parameters",
        "stored_bytes",
        "forward_flops",
        "training_step_flops",
    ):
        found[name] = [getattr(seen, name), getattr(said, name)]
    found["peak_bytes"] = [seen.peak_memory.total, said.peak_memory.total]
    return found


def _failed(choice: MethodChoice, outcome: NoCost) -> dict[str, Any]:
    return {"method": choice.label, "not_measured": outcome.reason}
