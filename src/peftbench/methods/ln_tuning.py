"""LayerNorm tuning: only the gains and biases of the normalisation layers are trained."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from peftbench.errors import InvalidSpec
from peftbench.methods._method import PeftMethod
from peftbench.models import Shapes

if TYPE_CHECKING:
    import torch
    from peft import PeftConfig, PeftModel
    from peft.tuners.ln_tuning import LNTuningModel
    from torch import nn
    from transformers import PreTrainedModel

_ADAPTER = "default"


@dataclass(frozen=True, kw_only=True)
class LnTuning(PeftMethod):
    """Gains (and biases) of all normalisation layers (Zhao et al., 2023, arXiv:2312.11420).

    Computes ``g * x / rms(x)``, or its LayerNorm counterpart with a bias, with
    g: (hidden,), trained from the base's value. Trains ``2 * layers + 1`` vectors of
    `hidden` parameters on a Llama; the norms of queries and keys too where there are any.
    `peft` trains copies; the base's own norms stay untouched.
    """

    family = "selective"
    placement = "normalisation layers"
    paper = "Zhao et al., 2023, arXiv:2312.11420"
    defaults_from = (
        "no settings; every normalisation layer, the final one included, as peft does for "
        "Llama (its own lists leave out layers of Qwen, Gemma and Phi)"
    )
    identity_at_start = True  # because the copies start as they are
    mergeable = True
    budget_knob = None  # one vector per layer
    #: Ours, that of `bitfit`: both train vectors as wide as the model.
    training = {"learning_rate": 1e-3}

    def trainable_parameters(self, shapes: Shapes) -> int:
        """All parameters of all normalisation layers."""
        return sum(shapes.norms)

    def config(self, model: PreTrainedModel) -> PeftConfig:
        import peft

        names = [
            name
            for name, module in model.named_modules()
            if type(module).__name__.endswith("Norm")
            and list(module.parameters(recurse=False))
        ]
        if not names:
            raise InvalidSpec(
                f"ln-tuning: this {model.config.model_type} model has no normalisation layer "
                "with weights; use another method or another model."
            )
        return peft.LNTuningConfig(task_type="CAUSAL_LM", target_modules=names)

    def merge(self, adapted: nn.Module) -> PreTrainedModel:
        """The trained norms take the place of the base's."""
        for layer, norm in _norms(cast("PeftModel", adapted)):
            norm.to(next(layer.get_base_layer().parameters()).dtype)
            norm._forward_pre_hooks.clear()
        return super().merge(adapted)

    def _wrap(self, model: PreTrainedModel, config: PeftConfig) -> PeftModel:
        from torch import nn

        adapted = super()._wrap(model, config)
        for layer, norm in _norms(adapted):
            norm.float()  # peft leaves the copies in the precision of the base
            if isinstance(norm, nn.LayerNorm):  # the kernel wants one precision
                norm.register_forward_pre_hook(_as_float32)
            layer.register_forward_hook(_in_precision_of_input)
        return adapted


def _norms(adapted: PeftModel) -> Iterator[tuple[Any, nn.Module]]:
    """Every layer of the tuner with the copy that it trains."""
    tuner = cast("LNTuningModel", adapted.base_model)
    for module in tuner.modules():
        if isinstance(module, tuner.tuner_layer_cls):
            yield module, module.ln_tuning_layers[_ADAPTER]


def _as_float32(
    _norm: nn.Module, arguments: tuple[torch.Tensor, ...]
) -> tuple[torch.Tensor, ...]:
    return (arguments[0].float(), *arguments[1:])


def _in_precision_of_input(
    _layer: nn.Module, arguments: tuple[torch.Tensor, ...], output: torch.Tensor
) -> torch.Tensor:
    """A float32 gain must not turn the activations of a bfloat16 model into float32."""
    return output.to(arguments[0].dtype)


METHOD = LnTuning
