"""BitFit: only biases are trained, and made where a layer has none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from peftbench.methods._linear import LinearMethod
from peftbench.models import Linear, Shapes

if TYPE_CHECKING:
    from peft import PeftModel
    from torch import nn
    from transformers import PreTrainedModel


@dataclass(frozen=True, kw_only=True)
class Bitfit(LinearMethod):
    """Trained biases of linear layers (Ben Zaken et al., 2021, arXiv:2106.10199).

    Computes ``W x + b0 + b`` with W: (d_out, d_in) and b0: (d_out,), the base's own bias or
    absent, both frozen; b: (d_out,), trained, zero at the start. Where the base has a bias,
    b is its change: the gradients are those of training b0 itself, and weight decay pulls
    towards the base's bias instead of towards zero.
    Trains ``d_out`` parameters per layer.

    The layers are those of `peft`'s BEFT (2025, arXiv:2509.15974), which is BitFit on the
    value projections alone; here it is given all targets.
    """

    title = "BitFit"
    tuner = "BeftConfig"
    family = "selective"
    placement = "biases of the linear layers of the blocks"
    paper = "Ben Zaken et al., 2021, arXiv:2106.10199"
    defaults_from = "Ben Zaken et al.: the biases of all linear layers"
    identity_at_start = True  # because b is zero
    mergeable = True
    budget_knob = None  # one vector per layer
    unsupported = {
        "gpt2": "its layers are transformers' Conv1D, and peft's BEFT takes only nn.Linear"
    }
    #: The upper end of the range searched by Ben Zaken et al., 1e-4 to 1e-3.
    training = {"learning_rate": 1e-3}

    def layer_parameters(self, layer: Linear, shapes: Shapes) -> int:
        return layer.d_out

    def merge(self, adapted: nn.Module) -> PreTrainedModel:
        """A layer without a bias gets one. Few architectures can say so in their config
        (Llama: `attention_bias`, `mlp_bias`), so reload the merged model with care."""
        import torch
        from peft.tuners.beft import BeftLayer

        for module in cast("PeftModel", adapted).modules():
            if not isinstance(module, BeftLayer):
                continue
            layer = cast("nn.Linear", module.get_base_layer())
            if layer.bias is None:
                layer.bias = torch.nn.Parameter(
                    layer.weight.new_zeros(layer.out_features), requires_grad=False
                )
        return super().merge(adapted)


METHOD = Bitfit
