"""BitFit against its formula, written down without peft."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.func import functional_call
from transformers import LlamaForCausalLM

from peftbench import methods
from peftbench.testing import tiny_llama

TOKENS = torch.tensor([[5, 9, 33, 7, 61, 20, 8, 14], [44, 3, 17, 25, 70, 6, 52, 11]])


class WithBias(nn.Module):
    """``W x + b0 + b``, the slow way: the sum is spelled out element by element."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.linear = linear
        self.added = nn.Parameter(torch.zeros(linear.out_features))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weight, bias = self.linear.weight, self.linear.bias
        columns = [(x * row).sum(-1) for row in weight]
        out = torch.stack(columns, dim=-1) + self.added
        return out if bias is None else out + bias


def slow_model(base: Any) -> tuple[Any, dict[str, nn.Parameter]]:
    added = {}
    for name, module in list(base.named_modules()):
        if isinstance(module, nn.Linear) and module is not base.get_output_embeddings():
            parent, _, leaf = name.rpartition(".")
            replacement = WithBias(module)
            setattr(base.get_submodule(parent), leaf, replacement)
            added[name] = replacement.added
    return base, added


def fast_biases(adapted: nn.Module) -> dict[str, nn.Parameter]:
    return {
        name.removeprefix("base_model.model.").partition(".beft_bias")[0]: parameter
        for name, parameter in adapted.named_parameters()
        if parameter.requires_grad
    }


def loss_of(model: Any) -> torch.Tensor:
    logits = model(input_ids=TOKENS, use_cache=False).logits
    return nn.functional.cross_entropy(
        logits[:, :-1].flatten(0, 1), TOKENS[:, 1:].flatten()
    )


@pytest.mark.parametrize("attention_bias", [False, True])
def test_logits_and_gradients_are_those_of_the_formula(attention_bias: bool) -> None:
    slow, expected = slow_model(tiny_llama(attention_bias=attention_bias))
    adapted = methods.get("bitfit")().attach(tiny_llama(attention_bias=attention_bias))
    biases = fast_biases(adapted)
    assert biases.keys() == expected.keys()
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, parameter in expected.items():
            parameter.copy_(0.1 * torch.randn(parameter.shape, generator=generator))
            biases[name].copy_(parameter.reshape(biases[name].shape))
    torch.testing.assert_close(
        adapted(input_ids=TOKENS).logits,
        slow(input_ids=TOKENS).logits,
        atol=1e-5,
        rtol=1e-5,
    )
    loss_of(adapted).backward()
    loss_of(slow).backward()
    for name, parameter in expected.items():
        assert biases[name].grad is not None
        torch.testing.assert_close(
            biases[name].grad.flatten(), parameter.grad, atol=1e-5, rtol=1e-5
        )


def test_gradient_equals_that_of_an_existing_bias_trained_in_place() -> None:
    base = tiny_llama(attention_bias=True)
    own = {n: p for n, p in base.named_parameters() if n.endswith("q_proj.bias")}
    for parameter in own.values():
        parameter.requires_grad_(True)
    loss_of(base).backward()
    method = methods.get("bitfit")(target_modules=["q_proj"])
    adapted = method.attach(tiny_llama(attention_bias=True))
    loss_of(adapted).backward()
    for name, parameter in fast_biases(adapted).items():
        assert parameter.grad is not None
        torch.testing.assert_close(parameter.grad.flatten(), own[f"{name}.bias"].grad)


def test_starts_at_exactly_zero() -> None:
    """A fresh `nn.Linear` bias would start at random and disturb the base."""
    adapted = methods.get("bitfit")().attach(tiny_llama())
    assert all(torch.equal(p, torch.zeros_like(p)) for p in fast_biases(adapted).values())


def test_no_base_weight_is_copied() -> None:
    model = tiny_llama()
    pointers = {p.data_ptr() for p in model.parameters()}
    adapted = methods.get("bitfit")().attach(model)
    others = [p for p in adapted.parameters() if p.data_ptr() not in pointers]
    assert all(p.requires_grad for p in others)


def test_merged_base_has_the_biases_and_nothing_else_changed() -> None:
    method = methods.get("bitfit")(target_modules=["v_proj"])
    adapted = method.attach(tiny_llama())
    with torch.no_grad():
        for parameter in fast_biases(adapted).values():
            parameter.fill_(0.25)
    merged = method.merge(adapted)
    before = dict(tiny_llama().named_parameters())
    after = dict(merged.named_parameters())
    added = after.keys() - before.keys()
    assert added == {f"model.layers.{i}.self_attn.v_proj.bias" for i in range(2)}
    assert all(torch.equal(after[name], torch.full((16,), 0.25)) for name in added)
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_peft_alone_opens_the_folder(tmp_path: Path) -> None:
    import peft

    method = methods.get("bitfit")()
    adapted = method.attach(tiny_llama())
    with torch.no_grad():
        for parameter in fast_biases(adapted).values():
            parameter.normal_()
    method.save(adapted, tmp_path)
    loaded = peft.PeftModel.from_pretrained(tiny_llama(), tmp_path)
    torch.testing.assert_close(
        loaded(input_ids=TOKENS).logits, adapted(input_ids=TOKENS).logits
    )


def test_merged_llama_reloads_with_its_biases_declared(tmp_path: Path) -> None:
    method = methods.get("bitfit")()
    adapted = method.attach(tiny_llama())
    with torch.no_grad():
        for parameter in fast_biases(adapted).values():
            parameter.normal_()
    merged = method.merge(adapted)
    declared = LlamaForCausalLM(
        type(merged.config)(
            **merged.config.to_dict() | {"attention_bias": True, "mlp_bias": True}
        )
    ).eval()
    logits = functional_call(declared, dict(merged.named_parameters()), (TOKENS,)).logits
    torch.testing.assert_close(logits, merged(input_ids=TOKENS).logits)
