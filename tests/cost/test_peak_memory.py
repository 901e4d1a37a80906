"""Peak memory counts every live tensor, and every one once."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from peftbench.cost.meter import _LiveBytes, _peak_memory, measure
from peftbench.methods import get
from peftbench.models import resolve
from peftbench.models._load import BaseModel, load
from peftbench.spec import ModelChoice


@pytest.fixture(scope="module")
def base() -> BaseModel:
    return load(resolve(ModelChoice(name="tiny")))


def test_a_freed_tensor_counts_no_more_and_a_view_counts_nothing() -> None:
    with _LiveBytes() as live:
        first = torch.ones(1000)
        view = first[10:]
        assert (live.live, live.peak) == (4000, 4000)
        del first
        assert live.live == 4000, "the view keeps it"
        del view
        assert (live.live, live.peak) == (0, 4000)


def test_the_peak_of_a_step_by_hand() -> None:
    """Weights, their gradient, both moments, and one temporary of the optimiser."""
    layer = nn.Linear(1000, 1, bias=False)
    optimizer = torch.optim.AdamW(layer.parameters(), foreach=False)
    inputs = torch.zeros(1, 1000)

    def step() -> None:
        layer(inputs).sum().backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    memory = _peak_memory(layer, step, optimizer)
    assert memory["adapter"] == memory["gradients"] == 4000
    assert memory["optimizer"] == 8004  # and the count of steps
    assert 4 * 4000 < memory["total"] < 7 * 4000


@pytest.mark.parametrize("name", ["full", "lora", "prompt-tuning", "base"])
def test_parts_add_up_to_the_total(base: BaseModel, name: str) -> None:
    measured = measure(base, get(name)(), inference=(1, 8), training=(1, 8), repeats=2)
    parts = dict(measured.memory)
    assert parts.pop("total") == sum(parts.values())
    weights = sum(p.nbytes for p in base.model.parameters())
    assert parts["weights"] == (0 if name == "full" else weights)
    assert parts["adapter"] == 4 * measured.trainable_parameters


def test_moments_count_once_where_the_peak_is_in_the_optimiser(base: BaseModel) -> None:
    """With short inputs full fine-tuning peaks there: four times the weights, and one
    temporary at a time."""
    memory = measure(
        base, get("full")(), inference=(1, 8), training=(1, 8), repeats=2
    ).memory
    weights = sum(p.nbytes for p in base.model.parameters())
    assert 4 * weights < memory["total"] < 4.5 * weights
