"""Compare a method with its formula: written down once more, slowly, with forward hooks.

The slow model is a plain base with hooks on its modules. Nothing of the package but the
method under test has a hand in it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from peftbench import methods
from peftbench.testing import tiny_llama

TOKENS = torch.tensor([[5, 9, 33, 7, 61, 20, 8, 14], [44, 3, 17, 25, 70, 6, 52, 11]])

#: Trained tensors of an adapter by where they are: "layers.0.mlp" and "adapter.up.bias".
Values = Mapping[str, Mapping[str, torch.Tensor]]
Install = Callable[[Any, Values], None]


def check_formula(
    name: str, parameters: Mapping[str, Any], install: Install, **overrides: Any
) -> None:
    """Logits and gradients of the method are those of `install`'s hooks, to 1e-5."""
    torch.manual_seed(3)
    adapted = methods.get(name)(**parameters).attach(tiny_llama(**overrides)).double()
    own = trained(adapted)
    with torch.no_grad():
        for parameter in own.values():
            parameter.add_(0.2 * torch.randn_like(parameter))
    expected = {key: p.detach().clone().requires_grad_() for key, p in own.items()}
    slow = tiny_llama(**overrides).double()
    install(slow, _by_place(expected))

    adapted.eval()
    fast_logits = adapted(input_ids=TOKENS, use_cache=False).logits
    slow_logits = slow(input_ids=TOKENS, use_cache=False).logits
    base = tiny_llama(**overrides).double()(input_ids=TOKENS).logits
    assert float((slow_logits - base).abs().max().detach()) > 1e-2, (
        "the formula changes nothing"
    )
    torch.testing.assert_close(fast_logits, slow_logits, atol=1e-5, rtol=1e-5)
    _loss(fast_logits).backward()
    _loss(slow_logits).backward()
    assert own
    for key, parameter in expected.items():
        assert parameter.grad is not None, f"the formula does not use {key}"
        torch.testing.assert_close(own[key].grad, parameter.grad, atol=1e-5, rtol=1e-5)


def trained(adapted: nn.Module) -> dict[tuple[str, str], nn.Parameter]:
    """What is trained, by place and name."""
    found = {}
    for name, parameter in adapted.named_parameters():
        if parameter.requires_grad:
            place, _, own = name.partition(".native_parts.default.")
            place = place.replace(".base_layer", "").removeprefix("base_model.model.")
            found[place.removeprefix("model."), own] = parameter
    return found


def _by_place(values: Mapping[tuple[str, str], torch.Tensor]) -> Values:
    places: dict[str, dict[str, torch.Tensor]] = {}
    for (place, own), tensor in values.items():
        places.setdefault(place, {})[own] = tensor
    return places


def _loss(logits: torch.Tensor) -> torch.Tensor:
    return nn.functional.cross_entropy(
        logits[:, :-1].flatten(0, 1), TOKENS[:, 1:].flatten()
    )


def module(model: Any, place: str) -> nn.Module:
    """A module of a plain Llama by its place."""
    found: nn.Module = model.get_submodule(
        place if place == "lm_head" else f"model.{place}"
    )
    return found


def after(model: Any, place: str, change: Callable[..., torch.Tensor]) -> None:
    """`change(output, input)` in place of what a module returns."""

    def hook(_module: Any, arguments: Any, keywords: Any, output: Any) -> Any:
        x = arguments[0] if arguments else keywords["hidden_states"]
        if isinstance(output, tuple):
            return (change(output[0], x), *output[1:])
        return change(output, x)

    module(model, place).register_forward_hook(hook, with_kwargs=True)
