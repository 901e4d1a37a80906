"""LLaMA-Adapter: prompts in the upper layers, let in through a gate that starts shut."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from peftbench.methods._method import PeftMethod
from peftbench.methods._settings import whole
from peftbench.models import Shapes

if TYPE_CHECKING:
    from peft import PeftConfig, PeftModel
    from torch import nn
    from transformers import PreTrainedModel

_UNKNOWN = "peft's LLaMA-Adapter knows the attention of Llama, Mistral and GPT-2 alone"
_TRAINED = ("adaption_prompt", "adaption_gate")


@dataclass(frozen=True, kw_only=True)
class AdaptionPrompt(PeftMethod):
    """Zero-initialised attention to prompts (Zhang et al., 2023, arXiv:2303.16199).

    Computes ``attention(x) + g W_o softmax(q K_p^T / sqrt(head_dim)) V_p`` in the upper layers,
    with K_p and V_p the layer's own keys and values of P: (prompt_length, hidden), random, and the
    gate g, one number, zero at the start. All layers but the lowest two have one.
    Trains ``prompt_length * hidden + 1`` parameters in each of them.
    """

    prompt_length: int = whole(10, peft="adapter_len", hint="try 10")

    title = "LLaMA-Adapter"
    tuner = "AdaptionPromptConfig"
    family = "soft prompt"
    placement = "attention of all layers but the lowest two"
    paper = "Zhang et al., 2023, arXiv:2303.16199"
    defaults_from = "Zhang et al.: 10 tokens, the upper 30 of Llama 7B's 32 layers"
    identity_at_start = True  # because the gate is shut
    mergeable = False
    budget_knob = "prompt_length"
    unsupported = {
        "mistral": "peft takes heads to be hidden / heads wide, which Mistral's need not be",
        **dict.fromkeys(("qwen2", "qwen3", "gemma", "phi", "gpt_neox", "opt"), _UNKNOWN),
    }
    #: huggingface/peft, method_comparison/MetaMathQA, adaptionprompt on Llama-3.2-3B; the
    #: other setting compared there is 5e-3, and Zhang et al. use 9e-3.
    training = {"learning_rate": 5e-3}

    def trainable_parameters(self, shapes: Shapes) -> int:
        layers = _adapted_layers(shapes.num_layers)
        return layers * (self.prompt_length * shapes.hidden_size + 1)

    def peft_fields(self, shapes: Shapes) -> dict[str, Any]:
        layers = _adapted_layers(shapes.num_layers)
        return super().peft_fields(shapes) | {"adapter_layers": layers}

    def detach(self, adapted: nn.Module) -> PreTrainedModel:
        from peftbench.methods._before import Before

        tuner: Any = cast("PeftModel", adapted).base_model
        model: PreTrainedModel = tuner.model
        before = Before.take(model)
        tuner.disable_adapter_layers()  # puts the base's own attention back
        before.restore(model)
        return model

    def _wrap(self, model: PreTrainedModel, config: PeftConfig) -> PeftModel:
        adapted = super()._wrap(model, config)
        for module in adapted.modules():
            if hasattr(module, "adaption_gate"):
                _train_in_float32(module)
        return adapted


def _adapted_layers(layers: int) -> int:
    return max(1, layers - 2)


def _train_in_float32(attention: nn.Module) -> None:
    """`peft` makes prompt and gate in the precision of the base, and computes with them so."""
    precision = cast("nn.Parameter", attention.adaption_prompt).dtype
    for name in _TRAINED:
        parameter = getattr(attention, name)
        parameter.data = parameter.data.float()

    def lend(module: nn.Module, _arguments: Any) -> None:
        for name in _TRAINED:
            vars(module)[name] = module._parameters[name].to(precision)  # type: ignore[union-attr]

    def take_back(module: nn.Module, _arguments: Any, _output: Any) -> None:
        for name in _TRAINED:
            vars(module).pop(name)

    attention.register_forward_pre_hook(lend)
    attention.register_forward_hook(take_back)


METHOD = AdaptionPrompt
