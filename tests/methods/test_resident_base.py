"""One base model stays in memory while hundreds of adapters come and go."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest
import torch

from peftbench import methods
from peftbench.errors import ModelError
from peftbench.testing import tiny_llama

TOKENS = torch.tensor([[5, 9, 33, 7, 61, 20, 8, 14]])


def tensors_alive() -> int:
    gc.collect()
    return sum(isinstance(found, torch.Tensor) for found in gc.get_objects())


def test_many_methods_later_the_base_is_bit_for_bit_the_same(tmp_path: Path) -> None:
    model = tiny_llama()
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    logits = model(TOKENS).logits.detach()
    names = methods.names()
    alive = 0
    for cycle in range(len(names) + 30):
        method = methods.get(names[cycle % len(names)])()
        adapted = method.attach(model)
        output = adapted(input_ids=TOKENS, use_cache=False).logits
        if method.trains:
            output.sum().backward()
        folder = tmp_path / str(cycle)
        method.save(adapted, folder)
        model = method.detach(adapted)
        loaded = method.load(model, folder)
        loaded(input_ids=TOKENS)
        model = method.detach(loaded)
        del adapted, loaded, output
        if cycle == len(names) - 1:
            alive = tensors_alive()
    assert {name: tensor.shape for name, tensor in model.state_dict().items()} == {
        name: tensor.shape for name, tensor in state.items()
    }
    assert all(
        torch.equal(state[name], tensor) for name, tensor in model.state_dict().items()
    )
    assert torch.equal(model(TOKENS).logits, logits)
    assert tensors_alive() <= alive, "tensors of detached methods are still alive"


@pytest.mark.parametrize("name", methods.names())
def test_two_methods_at_once_are_refused(name: str) -> None:
    model = tiny_llama()
    methods.get(name)().attach(model)
    with pytest.raises(ModelError, match="detach that one first"):
        methods.get("lora")().attach(model)


@pytest.mark.parametrize("name", methods.names())
def test_detaching_twice_is_refused(name: str) -> None:
    method = methods.get(name)()
    adapted = method.attach(tiny_llama())
    method.detach(adapted)
    with pytest.raises(ModelError, match="detached before"):
        method.detach(adapted)


@pytest.mark.parametrize("name", methods.names())
def test_loading_from_an_empty_folder_is_explained(name: str, tmp_path: Path) -> None:
    model = tiny_llama()
    with pytest.raises(ModelError, match=str(tmp_path)):
        methods.get(name)().load(model, tmp_path)
    methods.get(name)().attach(model)  # the base is still free


@pytest.mark.parametrize("name", methods.names())
def test_what_requires_grad_before_does_so_after(name: str) -> None:
    model = tiny_llama().requires_grad_(True).train()
    method = methods.get(name)()
    method.detach(method.attach(model))
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert all(part.training for part in model.modules())
