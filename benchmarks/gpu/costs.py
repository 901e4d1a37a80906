"""Ten methods on a large Llama: what the meter reads, and how much of the card's best a
training step reaches. `predicted.py` sets beside it what is predicted."""

from __future__ import annotations

from typing import Any

from benchmarks.gpu.ceilings import run as ceilings
from benchmarks.gpu.size import Size

from peftbench.cost.compare import NoCost, default_probe, measure_all
from peftbench.cost.costs import Cost
from peftbench.models import describe
from peftbench.spec import MethodChoice, ModelChoice, Probe

METHODS = (
    "lora", "dora", "ia3", "prefix-tuning", "full",
    "bitfit", "ln-tuning", "prompt-tuning", "sequential-bottleneck", "vera",
)  # fmt: skip
#: Those that are measured in float32 too.
IN_BOTH = 5


def run(size: Size) -> dict[str, Any]:
    """Every number of every method, or why there is none."""
    model = model_of(size)
    names = size.choose(METHODS, METHODS[:2])
    both = size.choose(IN_BOTH, 1)
    best = ceilings(size)["bfloat16_tflops"]
    measured: list[Cost | NoCost] = []
    for precision, chosen in (("bfloat16", names), ("float32", names[:both])):
        choices = [MethodChoice(name=name) for name in chosen]
        measured += measure_all(model, choices, _probe(size, model, precision))
    return {
        "model": f"Llama, {size.choose('1.3b', 'toy')}, bfloat16 weights",
        "best_tflops": best,
        "methods": [_told(outcome, best) for outcome in measured],
    }


def model_of(size: Size) -> ModelChoice:
    """What is measured and predicted."""
    return ModelChoice(name=str(size.model("1.3b")), dtype="bfloat16")


def _probe(size: Size, model: ModelChoice, precision: Any) -> Probe:
    probe = default_probe(describe(model).config, repeats=3, precision=precision)
    small = {"inference_length": 16, "training_length": 16, "new_tokens": 2}
    return probe.model_copy(update=small) if size.is_toy else probe


def _told(outcome: Cost | NoCost, best: float) -> dict[str, Any]:
    if isinstance(outcome, NoCost):
        return {"method": outcome.label, "not_measured": outcome.reason}
    assert outcome.step_seconds
    reached = outcome.training_step_flops / outcome.step_seconds / 1e12
    step_share = round(reached / best, 4)
    return {"step_share_of_best": step_share, **outcome.model_dump(mode="json")}
