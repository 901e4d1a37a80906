"""One computation is told from another in every precision, and from rounding."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from peftbench import methods
from peftbench.encoding.rounding import NARROW, difference, in_float32, rounding
from peftbench.testing import tiny_llama, trial

DTYPES = {"float32": torch.float32, **NARROW}
Tensors = dict[str, nn.Parameter]


def _scaled(tensors: Tensors) -> None:
    next(iter(tensors.values())).data *= 1.05


def _zeroed(tensors: Tensors) -> None:
    next(iter(tensors.values())).data.zero_()


def _left_out(tensors: Tensors) -> None:
    """As where a loader does not find a tensor: it is what it was made with."""
    last = list(tensors.values())[-1]
    last.data = torch.full_like(last, 0.01)


def _in_bfloat16(tensors: Tensors) -> None:
    for tensor in tensors.values():
        tensor.data = tensor.data.bfloat16().float()


def _in_float16(tensors: Tensors) -> None:
    for tensor in tensors.values():
        tensor.data = tensor.data.half().float()


def _layers_swapped(tensors: Tensors) -> None:
    for name, tensor in tensors.items():
        if ".layers.0." in name:
            other = tensors[name.replace(".layers.0.", ".layers.1.")]
            tensor.data, other.data = other.data, tensor.data


FAULTS: list[Callable[[Tensors], None]] = [
    _scaled,
    _zeroed,
    _left_out,
    _in_bfloat16,
    _in_float16,
    _layers_swapped,
]
METHODS = ["lora", "sequential-bottleneck", "ssf"]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", METHODS)
def test_what_was_loaded_is_what_was_trained_unless_there_is_a_fault(
    name: str, dtype: str, tmp_path: Path
) -> None:
    method = methods.get(name)()
    adapted = trial.trained(method, tiny_llama().to(DTYPES[dtype])).eval()
    expected, allowed = trial.logits_in_float32(adapted), trial.allowed(adapted)
    method.save(adapted, tmp_path)
    model = method.detach(adapted)

    def apart(fault: Callable[[Tensors], None]) -> float:
        nonlocal model
        loaded = method.load(model, tmp_path)
        fault(_of_adapter(loaded))
        found = difference(trial.logits_in_float32(loaded), expected)
        model = method.detach(loaded)
        return found

    assert apart(lambda _: None) < allowed / 2
    assert {f.__name__: apart(f) for f in FAULTS if apart(f) < 2 * allowed} == {}


@pytest.mark.parametrize("dtype", NARROW.values())
def test_pruned_adapter_is_loaded_in_the_precision_it_was_saved_in(
    dtype: torch.dtype, tmp_path: Path
) -> None:
    """peft makes pruned layers anew, in the precision of the base."""
    method = methods.get("adalora")()
    adapted = trial.trained(method, tiny_llama().to(dtype)).eval()
    method.save(adapted, tmp_path)
    loaded = method.load(tiny_llama().to(dtype), tmp_path)
    assert {tensor.dtype for tensor in _of_adapter(loaded).values()} == {torch.float32}
    found, expected = trial.logits_in_float32(loaded), trial.logits_in_float32(adapted)
    assert difference(found, expected) < trial.allowed(loaded) / 2


@pytest.mark.parametrize("dtype", NARROW.values())
def test_weights_are_cast_up_where_they_are_used_and_stay_as_they_are(
    dtype: torch.dtype,
) -> None:
    model = tiny_llama().to(dtype)
    exact, held = trial.logits(tiny_llama().to(dtype).float()), trial.logits(model)
    with in_float32():
        found = trial.logits(model)
    assert found.dtype == torch.float32
    assert torch.equal(found, exact)
    assert {parameter.dtype for parameter in model.parameters()} == {dtype}
    assert torch.equal(trial.logits(model), held)
    assert rounding(2) < difference(held, exact) < rounding(2, dtype)


def test_what_writes_into_a_tensor_writes_into_it() -> None:
    held = torch.ones(2, dtype=torch.bfloat16)
    with in_float32():
        held += 2**-10
        held[0].fill_(3)
        assert (held + 2**-10).tolist() == [3 + 2**-10, 1 + 2**-10]
    assert held.tolist() == [3, 1]
    assert held.dtype == torch.bfloat16


def test_numbers_that_are_none_are_not_the_same() -> None:
    nothing = torch.tensor([1.0, float("nan")])
    assert not difference(nothing, torch.ones(2)) <= rounding(2)


def _of_adapter(model: nn.Module) -> Tensors:
    of_base = tiny_llama().state_dict()
    return {
        name: parameter
        for name, parameter in model.named_parameters()
        if name.removeprefix("base_model.model.").replace("base_layer.", "") not in of_base
    }
