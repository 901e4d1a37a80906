"""Native methods when training recomputes blocks, and in bfloat16."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest
import torch

from peftbench import methods
from peftbench.methods._native.method import NativeMethod
from peftbench.testing import TINY_MODELS
from peftbench.training.checkpointing import gradient_checkpointing

TOKENS = torch.tensor([[5, 9, 33, 7, 61, 20, 8, 14], [44, 3, 17, 25, 70, 6, 52, 11]])
NATIVE = [name for name in methods.names() if issubclass(methods.get(name), NativeMethod)]
#: Those that hand an activation on from one module to a later one, on the model that needs it.
PAIRS = [(name, "llama") for name in NATIVE]
PAIRS += [(name, "opt") for name in ("parallel-adapter", "mam", "ts-bottleneck", "lst")]


def gradients(name: str, model_type: str, around: Any) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    adapted: Any = methods.get(name)().attach(TINY_MODELS[model_type]())
    with torch.no_grad():
        for key, parameter in adapted.named_parameters():
            if parameter.requires_grad and "owned.values" not in key:  # thresholds, at zero
                parameter.add_(0.05 * torch.randn_like(parameter))
    adapted.train()
    torch.manual_seed(1)
    with around(adapted):
        logits = adapted(input_ids=TOKENS, use_cache=False).logits
        logits.float().logsumexp(-1).mean().backward()
    return {n: p.grad for n, p in adapted.named_parameters() if p.grad is not None}


@pytest.mark.parametrize(("name", "model_type"), PAIRS)
def test_recomputed_blocks_give_the_same_gradients(name: str, model_type: str) -> None:
    kept = gradients(name, model_type, lambda _: nullcontext())
    again = gradients(name, model_type, lambda a: gradient_checkpointing(a, enabled=True))
    assert kept.keys() == again.keys() != set()
    for key, gradient in kept.items():
        torch.testing.assert_close(again[key], gradient, atol=1e-5, rtol=1e-4)


@contextmanager
def _bfloat16(_adapted: Any) -> Iterator[None]:
    with torch.autocast("cpu", torch.bfloat16):
        yield


@pytest.mark.parametrize(("name", "model_type"), PAIRS)
def test_bfloat16_gives_finite_float32_gradients(name: str, model_type: str) -> None:
    found = gradients(name, model_type, _bfloat16)
    assert found
    assert {gradient.dtype for gradient in found.values()} == {torch.float32}
    assert all(bool(gradient.isfinite().all()) for gradient in found.values())
