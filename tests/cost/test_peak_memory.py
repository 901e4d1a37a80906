"""Peak memory counts every live tensor, and every one once."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from peftbench.cost.costs import Memory
from peftbench.cost.count import Inputs, count
from peftbench.cost.memory import LiveBytes, peak_of_training
from peftbench.cost.step import RepeatedStep, training_batch
from peftbench.methods import get
from peftbench.models import resolve
from peftbench.models._load import BaseModel, load
from peftbench.spec import ModelChoice, Training
from peftbench.training.step import TrainingStep


@pytest.fixture(scope="module")
def base() -> BaseModel:
    return load(resolve(ModelChoice(name="tiny")))


def test_a_freed_tensor_counts_no_more_and_a_view_counts_nothing() -> None:
    with LiveBytes() as live:
        first = torch.ones(1000)
        view = first[10:]
        assert (live.live, live.peak) == (4000, 4000)
        del first
        assert live.live == 4000, "the view keeps it"
        del view
        assert (live.live, live.peak) == (0, 4000)


def test_the_peak_of_a_step_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights, their gradient, both moments, and one temporary of the optimiser."""
    layer = nn.Linear(1000, 1, bias=False)
    step = TrainingStep(layer, Training())
    monkeypatch.setattr(step, "_loss", lambda _batch: layer(torch.zeros(1, 1000)).sum())
    batch = training_batch(2, 1, 2, torch.device("cpu"))
    memory = peak_of_training(RepeatedStep(step, batch), base_bytes=0)
    assert memory.adapter == memory.gradients == 4000
    assert memory.optimizer == 8004  # and the count of steps
    assert memory.weights == 0
    assert 4 * 4000 < memory.total < 7 * 4000


def read(base: BaseModel, name: str) -> Memory:
    inputs = Inputs(inference=(1, 8), training=(1, 8))
    return count(get(name)(), base.model, base.shapes.vocab_size, inputs).memory


@pytest.mark.parametrize("name", ["full", "lora", "prompt-tuning", "base"])
def test_parts_add_up_to_the_total(base: BaseModel, name: str) -> None:
    memory = read(base, name)
    parts = {k: v for k, v in vars(memory).items() if v is not None}
    assert parts.pop("total") == sum(parts.values())
    weights = sum(p.nbytes for p in base.model.parameters())
    buffers = sum(b.nbytes for b in base.model.buffers())
    assert memory.weights == buffers + (0 if name == "full" else weights)


def test_gradient_checkpointing_keeps_less(base: BaseModel) -> None:
    plain, checkpointed = (
        count(
            get("lora")(),
            base.model,
            base.shapes.vocab_size,
            Inputs((1, 8), (4, 128), gradient_checkpointing=wanted),
        )
        for wanted in (False, True)
    )
    assert checkpointed.memory.activations < 0.7 * plain.memory.activations
    extra = checkpointed.training_step_flops.total - plain.training_step_flops.total
    assert 0.5 < extra / (2048 / 8 * plain.forward_flops.total / 4) < 1.2, (
        "one forward pass"
    )


def test_moments_count_once_where_the_peak_is_in_the_optimiser(base: BaseModel) -> None:
    """With short inputs full fine-tuning peaks there: four times the weights, and one
    temporary at a time."""
    weights = sum(p.nbytes for p in base.model.parameters())
    assert 4 * weights < read(base, "full").total < 4.5 * weights
