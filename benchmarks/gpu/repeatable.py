"""What kernels that repeat bit for bit cost: a training step with them and without."""

from __future__ import annotations

from typing import Any

import torch
from benchmarks.gpu.ceilings import median_seconds
from benchmarks.gpu.size import Size

from peftbench import methods
from peftbench.cost.step import RepeatedStep, context, training_batch
from peftbench.models import resolve
from peftbench.models._load import load
from peftbench.spec import ModelChoice
from peftbench.training.repeatable import operators_that_differ, use_repeatable_kernels
from peftbench.training.seeds import seed_everything


def run(size: Size) -> dict[str, Any]:
    """Milliseconds of a step, and which operators have no repeatable kernel."""
    base = load(resolve(ModelChoice(name=str(size.model("1.3b")))), "bfloat16")
    use_repeatable_kernels()
    found: dict[str, Any] = {}
    for name in size.choose(("lora", "full"), ("lora",)):
        for precision in ("bfloat16", "float32"):
            batch = training_batch(
                base.shapes.vocab_size, 4, size.choose(512, 16), size.device
            )
            now = context(batch, precision)
            seed_everything(0)
            method = methods.get(name)()
            adapted = method.attach_for(base.model, now)
            step = RepeatedStep.of(method, adapted, batch, now)
            with operators_that_differ() as differ:
                repeatable = median_seconds(step, size)
            torch.use_deterministic_algorithms(False)
            free = median_seconds(step, size)
            torch.backends.cuda.enable_cudnn_sdp(True)
            with_cudnn = median_seconds(step, size)
            use_repeatable_kernels()
            base.model = method.detach(adapted)
            found[f"{name}, {precision}"] = {
                "repeatable_ms": round(repeatable * 1000, 2),
                "free_ms": round(free * 1000, 2),
                "free_with_cudnn_attention_ms": round(with_cudnn * 1000, 2),
                "not_repeatable": sorted(differ),
            }
    return found
