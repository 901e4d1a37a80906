"""Skipping the output layer where nothing is asked changes no number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from peftbench import methods
from peftbench.encoding.batches import Batch
from peftbench.encoding.encode import Encoded
from peftbench.encoding.logits import all_logits, answer_logits
from peftbench.testing import tiny_llama
from peftbench.training.run import Run


@pytest.mark.parametrize("name", methods.names())
@torch.no_grad()
def test_chosen_logits_are_those_of_the_slow_twin(
    name: str, make_run: Callable[..., Run], examples: tuple[Encoded, ...]
) -> None:
    model = make_run(name).model.eval() if methods.get(name).trains else tiny_llama()
    batch = Batch.of(examples[:6], 0, torch.device("cpu"))
    fast = answer_logits(model, batch.input_ids, batch.answers)
    slow = all_logits(model, batch.input_ids)
    assert slow.shape[:2] == batch.input_ids.shape
    torch.testing.assert_close(fast, slow[batch.answers], atol=1e-6, rtol=1e-6)


def test_gradients_are_those_of_the_slow_twin(
    make_run: Callable[..., Run], examples: tuple[Encoded, ...]
) -> None:
    run = make_run("prompt-tuning")
    batch = Batch.of(examples[:6], 0, torch.device("cpu"))
    found = []
    for logits in (
        answer_logits(run.model, batch.input_ids, batch.answers),
        all_logits(run.model, batch.input_ids)[batch.answers],
    ):
        loss = torch.nn.functional.cross_entropy(logits, batch.targets)
        found.append(torch.autograd.grad(loss, list(run.parameters.values())))
    for fast, slow in zip(*found, strict=True):
        torch.testing.assert_close(fast, slow, atol=1e-7, rtol=1e-5)


def test_no_hook_stays_behind_also_after_an_error(make_run: Callable[..., Run]) -> None:
    model: Any = make_run("lora").model
    hooks = model.get_output_embeddings()._forward_pre_hooks
    ids, positions = torch.tensor([[5, 6, 7]]), torch.tensor([[False, True, True]])
    assert answer_logits(model, ids, positions).shape == (2, 96)
    with pytest.raises(IndexError):
        answer_logits(model, ids + 1000, positions)
    assert not hooks
    assert model(input_ids=ids).logits.shape == (1, 3, 96)
