"""The checks find the mistakes they are there for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from peftbench import methods
from peftbench.methods import Method
from peftbench.models import Shapes
from peftbench.testing import CHECKS, check_method, tiny_llama

Lora: Any = methods.get("lora")
PromptTuning: Any = methods.get("prompt-tuning")
BitFit: Any = methods.get("bitfit")
Full: Any = methods.get("full")


def _random_bias(self: Any, model: Any) -> Any:
    adapted = BitFit.attach(self, model)
    for name, parameter in adapted.named_parameters():
        if "beft_bias" in name:
            torch.nn.init.uniform_(parameter)
    return adapted


def _one_too_many(self: Any, shapes: Shapes) -> int:
    count: int = Lora.trainable_parameters(self, shapes)
    return count + 1


def _trains_a_norm_too(self: Any, model: Any) -> Any:
    adapted = Lora.attach(self, model)
    adapted.base_model.model.model.norm.weight.requires_grad_(True)
    return adapted


def _in_bfloat16(self: Any, model: Any) -> Any:
    adapted = PromptTuning.attach(self, model)
    adapted.prompt_encoder.to(torch.bfloat16)
    return adapted


def _samples_again(self: Any, model: Any, folder: Path) -> Any:
    """The bug of the published benchmark: what was loaded is overwritten."""
    adapted = PromptTuning.load(self, model, folder)
    adapted.prompt_encoder.default.embedding.weight.normal_()
    return adapted


def _leaves_it_trainable(self: Any, model: Any, folder: Path) -> Any:
    return Lora.load(self, model, folder).requires_grad_(True)


def _saves_the_base_too(self: Any, adapted: Any, folder: Path) -> None:
    Lora.save(self, adapted, folder)
    adapted.base_model.model.save_pretrained(folder)


def _merges_and_returns(self: Any, adapted: Any) -> Any:
    return adapted.merge_and_unload()


def _forgets_to_bring_back(self: Any, adapted: Any) -> Any:
    from peftbench.methods._before import Before

    Before.take(adapted)
    return adapted.requires_grad_(False).eval()


def _leaves_positions_to_peft(self: Any, model: Any) -> Any:
    adapted = PromptTuning.attach(self, model)
    del adapted.prepare_inputs_for_generation
    return adapted


def _unseeded(self: Any, model: Any) -> Any:
    torch.seed()
    return PromptTuning.attach(self, model)


def _refuses_nothing(self: Any, adapted: Any) -> Any:
    return adapted


def _loads_in_the_type_of_the_base(self: Any, model: Any, folder: Path) -> Any:
    adapted = Lora.load(self, model, folder)
    for name, parameter in adapted.named_parameters():
        if "lora_" in name:
            parameter.data = parameter.data.to(model.dtype)
    return adapted


def _saves_in_the_type_of_the_base(self: Any, adapted: Any, folder: Path) -> None:
    kept = {n: p.data for n, p in adapted.named_parameters() if "lora_" in n}
    for name in kept:
        adapted.get_parameter(name).data = kept[name].to(adapted.dtype)
    Lora.save(self, adapted, folder)
    for name, data in kept.items():
        adapted.get_parameter(name).data = data


def _merges_into_float32(self: Any, adapted: Any) -> Any:
    return Lora.merge(self, adapted).float()


def _merges_too_much_in_16_bits(self: Any, adapted: Any) -> Any:
    if adapted.dtype != torch.float32:
        name = next(name for name, _ in adapted.named_parameters() if "lora_B" in name)
        adapted.get_parameter(name).data *= 3
    return Lora.merge(self, adapted)


def _returns_float32(self: Any, model: Any) -> Any:
    adapted = Lora.attach(self, model)
    block = adapted.base_model.model.model.layers[0].mlp
    block.register_forward_hook(lambda _module, _arguments, output: output.float())
    return adapted


BROKEN: list[tuple[str, Any, dict[str, Callable[..., Any]], str]] = [
    ("starts_as_declared", BitFit, {"attach": _random_bias}, "logits differ by"),
    ("starts_as_declared", Lora, {"identity_at_start": False}, "differ by only 0"),  # type: ignore[dict-item]
    (
        "count_is_the_closed_form",
        Lora,
        {"trainable_parameters": _one_too_many},
        "closed form",
    ),
    ("count_is_the_closed_form", Lora, {"attach": _trains_a_norm_too}, "closed form"),
    ("count_is_the_closed_form", PromptTuning, {"attach": _in_bfloat16}, "must be float32"),
    (
        "saved_is_what_was_trained",
        PromptTuning,
        {"load": _samples_again},
        "logits differ by",
    ),
    ("saved_is_what_was_trained", Lora, {"load": _leaves_it_trainable}, "require grad"),
    ("stores_only_what_it_needs", Lora, {"save": _saves_the_base_too}, "closed form"),
    ("merges_if_it_says_so", PromptTuning, {"merge": _refuses_nothing}, "does not raise"),
    ("merges_if_it_says_so", Lora, {"merge": _refuses_nothing}, "not a LlamaForCausalLM"),
    ("detach_leaves_no_trace", Lora, {"detach": _merges_and_returns}, "changed"),
    ("detach_leaves_no_trace", Full, {"detach": _forgets_to_bring_back}, "changed"),
    ("same_seed_same_start", PromptTuning, {"attach": _unseeded}, "after the same seed"),
    (
        "batched_generation_is_generation",
        PromptTuning,
        {"attach": _leaves_positions_to_peft},
        "3 padding tokens",
    ),
    ("works_in_float16", PromptTuning, {"attach": _in_bfloat16}, "must be float32"),
    (
        "works_in_bfloat16",
        Lora,
        {"load": _loads_in_the_type_of_the_base},
        "logits differ by",
    ),
    (
        "works_in_float16",
        Lora,
        {"load": _loads_in_the_type_of_the_base},
        "logits differ by",
    ),
    (
        "works_in_bfloat16",
        Lora,
        {"save": _saves_in_the_type_of_the_base},
        "must be float32",
    ),
    ("works_in_float16", Lora, {"merge": _merges_into_float32}, "has weights in"),
    (
        "works_in_bfloat16",
        Lora,
        {"merge": _merges_too_much_in_16_bits},
        "from a merge in float32",
    ),
    (
        "works_in_float16",
        Lora,
        {"unsupported": {"float16": "it was never tried"}},  # type: ignore[dict-item]
        "and it does",
    ),
]


@pytest.mark.parametrize(("check", "right", "wrong", "message"), BROKEN)
def test_broken_method_is_found(
    check: str, right: Any, wrong: dict[str, Any], message: str
) -> None:
    method: Method = type("Broken", (right,), wrong)()
    with pytest.raises(AssertionError, match=message):
        CHECKS[check](method, tiny_llama)


def test_what_cannot_work_in_16_bits_says_so() -> None:
    """On a GPU the error is "mat1 and mat2 must have the same dtype"."""
    broken: Any = type("Broken", (Lora,), {"attach": _returns_float32})
    with pytest.raises(RuntimeError, match="m1 and m2 to have the same dtype"):
        CHECKS["works_in_bfloat16"](broken(), tiny_llama)
    broken.unsupported = {"bfloat16": "its MLP returns float32"}
    found = CHECKS["works_in_bfloat16"](broken(), tiny_llama)
    assert found == "declared not to work: its MLP returns float32"


def test_frozen_tensor_that_moves_is_found() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Sneaky(Lora):  # type: ignore[misc]
        def attach(self, model: Any) -> Any:
            adapted = super().attach(model)
            norm = adapted.base_model.model.model.norm

            def nudge(*_: Any) -> None:
                norm.weight.data.add_(1e-3)

            adapted.register_forward_hook(nudge)
            return adapted

    with pytest.raises(AssertionError, match="moved although frozen"):
        CHECKS["only_the_adapter_trains"](Sneaky(), tiny_llama)


def test_tensor_that_never_moves_is_found() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Idle(Lora):  # type: ignore[misc]
        def attach(self, model: Any) -> Any:
            adapted = super().attach(model)
            adapted.unused = torch.nn.Parameter(torch.zeros(3))
            return adapted

    with pytest.raises(AssertionError, match="never moved: unused"):
        CHECKS["only_the_adapter_trains"](Idle(), tiny_llama)


def test_report_has_every_check_and_goes_on_after_a_failure() -> None:
    broken: Method = type("Broken", (Lora,), {"trainable_parameters": _one_too_many})()
    findings = check_method(broken)
    assert [finding.check for finding in findings] == list(CHECKS)
    failed = {finding.check for finding in findings if not finding.passed}
    assert failed == {"count_is_the_closed_form", "stores_only_what_it_needs"}
    assert all(finding.detail for finding in findings)
