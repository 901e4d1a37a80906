"""The meter reads the same twice, adds up, and leaves the base as it was."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from peftbench import methods
from peftbench.cost import flops
from peftbench.cost.count import Counted, Inputs, count
from peftbench.cost.meter import Meter
from peftbench.methods._build import cell_method
from peftbench.models import resolve
from peftbench.models._load import BaseModel, load
from peftbench.spec import MethodChoice, ModelChoice, Probe

LENGTH = 64


@pytest.fixture(scope="module")
def base() -> BaseModel:
    return load(resolve(ModelChoice(name="tiny")))


INPUTS = Inputs(inference=(1, LENGTH), training=(2, LENGTH))


def read(base: BaseModel, name: str) -> Counted:
    return count(methods.get(name)(), base.model, base.shapes.vocab_size, INPUTS)


def linear_flops(base: BaseModel, tokens: int) -> int:
    shapes = base.shapes
    weights = sum(linear.d_in * linear.d_out for linear in shapes.linears)
    return 2 * tokens * (weights + shapes.hidden_size * shapes.vocab_size)


def attention_flops(base: BaseModel, tokens: int) -> int:
    shapes = base.shapes
    return 4 * tokens * tokens * shapes.num_heads * shapes.head_dim * shapes.num_layers


def angle_flops(base: BaseModel, tokens: int) -> int:
    """Of positions by frequencies: a product in transformers before 5.19, later none."""
    model, ids = base.model, torch.zeros(1, tokens, dtype=torch.int64)
    rotary = model.model.rotary_emb
    return flops.count(lambda: rotary(torch.zeros(1), ids)).total


def test_forward_flops_of_the_base_are_the_closed_form(base: BaseModel) -> None:
    seen = read(base, "base")
    parts = (linear_flops, attention_flops, angle_flops)
    assert seen.forward_flops.total == sum(part(base, LENGTH) for part in parts)


def test_lora_adds_its_two_small_products_to_every_linear_layer(base: BaseModel) -> None:
    extra = read(base, "lora").forward_flops.total - read(base, "base").forward_flops.total
    rank = 8
    assert extra == sum(
        2 * LENGTH * rank * (linear.d_in + linear.d_out) for linear in base.shapes.linears
    )


@pytest.mark.parametrize("name", ["ia3", "ln-tuning", "bitfit", "full"])
def test_method_without_products_adds_no_flops(base: BaseModel, name: str) -> None:
    assert read(base, name).forward_flops.total == read(base, "base").forward_flops.total


def without_the_allocator(seen: Counted) -> Counted:
    """What CUDA's allocator holds depends on what was there before."""
    memory = seen.memory.model_copy(update={"allocated": None, "reserved": None})
    return replace(seen, memory=memory)


@pytest.mark.parametrize(
    "name", ["base", "full", "lora", "ia3", "prompt-tuning", "adaptformer", "svft"]
)
def test_memory_parts_add_up_and_the_reading_repeats(base: BaseModel, name: str) -> None:
    weights = {k: v.clone() for k, v in base.model.state_dict().items()}
    first, second = read(base, name), read(base, name)
    first, second = (without_the_allocator(one) for one in (first, second))
    assert first == second
    memory = first.memory.model_dump(exclude_none=True)
    total = memory.pop("total")
    assert sum(memory.values()) == total
    assert min(memory.values()) >= 0
    assert memory["adapter"] >= 4 * first.trainable_parameters
    for key, value in base.model.state_dict().items():
        assert torch.equal(value, weights[key]), key


@pytest.mark.parametrize("name", ["base", "lora", "prompt-tuning"])
def test_every_time_that_there_is_is_measured(base: BaseModel, name: str) -> None:
    method = methods.get(name)()
    weights = {k: v.clone() for k, v in base.model.state_dict().items()}
    choice = MethodChoice(name=name)
    probe = Probe(
        inference_length=LENGTH, training_batch=2, training_length=LENGTH, repeats=2
    )
    meter = Meter(base, ModelChoice(name="tiny"), probe)
    seen = meter.cost(cell_method(choice, method), method)
    assert (seen.step_seconds is None) == (not method.trains)
    assert (seen.prefill_merged is None) == (seen.merge is None) == (not method.mergeable)
    assert seen.prefill
    assert seen.load
    assert seen.prefill.median > 0
    assert seen.load.median > 0
    if base.device.type == "cpu":
        assert seen.step_joules is None, "no counter on a CPU, and not 0"
    assert base.is_intact()
    assert base.model.state_dict().keys() == weights.keys()


def test_serving_needs_what_is_loaded_beside_the_base(base: BaseModel) -> None:
    assert read(base, "base").serve_bytes == 0
    assert read(base, "lora").serve_bytes == 4 * read(base, "lora").trainable_parameters
    hidden = base.shapes.hidden_size
    assert read(base, "p-tuning").serve_bytes == 4 * 20 * hidden, "not its network"
    full = read(base, "full")
    assert full.serve_bytes == 4 * full.trainable_parameters, "a copy of the whole model"


def test_training_everything_takes_more_memory_than_training_little(
    base: BaseModel,
) -> None:
    totals = {n: read(base, n).memory.total for n in ("base", "bitfit", "lora", "full")}
    assert totals["base"] < totals["bitfit"] < totals["lora"] < totals["full"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="is about the CPU's attention")
def test_training_everything_costs_three_times_the_forward_pass(base: BaseModel) -> None:
    """Backward through a matrix product is two more; attention's is two and a half."""
    seen = read(base, "full")
    linear, attention = linear_flops(base, 2 * LENGTH), 2 * attention_flops(base, LENGTH)
    forward = linear + attention + angle_flops(base, LENGTH)
    assert seen.training_step_flops.total == forward + 2 * linear + 5 * attention // 2


def test_prefix_tokens_are_attended_to_and_that_is_counted(base: BaseModel) -> None:
    extra = (
        read(base, "prefix-tuning").forward_flops.total
        - read(base, "base").forward_flops.total
    )
    shapes, virtual = base.shapes, methods.get("prefix-tuning")().parameters()
    heads = shapes.num_heads * shapes.head_dim * shapes.num_layers
    assert extra >= 4 * LENGTH * virtual["num_virtual_tokens"] * heads
