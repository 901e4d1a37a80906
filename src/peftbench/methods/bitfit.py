"""BitFit: only biases are trained, and made where a layer has none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, cast

from peftbench.methods._method import Family, PeftMethod
from peftbench.methods._settings import ALL_LINEAR, targeted, targets

if TYPE_CHECKING:
    from peft import PeftConfig, PeftModel
    from torch import nn
    from transformers import PreTrainedModel

    from peftbench.models._shapes import Shapes


@dataclass(frozen=True, kw_only=True)
class Bitfit(PeftMethod):
    """Trained biases of linear layers (Ben Zaken et al., 2021, arXiv:2106.10199).

    Computes ``W x + b0 + b`` with W: (d_out, d_in) and b0: (d_out,), the base's own bias or
    absent, both frozen; b: (d_out,), trained, zero at the start. Where the base has a bias,
    b is its change: the gradients are those of training b0 itself, and weight decay pulls
    towards the base's bias instead of towards zero.
    Trains ``d_out`` parameters per layer.

    The layers are those of `peft`'s BEFT (2025, arXiv:2509.15974), which is BitFit on the
    value projections alone; here it is given all targets.
    """

    target_modules: str | tuple[str, ...] = ALL_LINEAR

    family: ClassVar[Family] = "selective"
    placement: ClassVar[str] = "biases of the linear layers of the blocks"
    paper: ClassVar[str] = "Ben Zaken et al., 2021, arXiv:2106.10199"
    defaults_from: ClassVar[str] = "Ben Zaken et al.: the biases of all linear layers"
    identity_at_start: ClassVar[bool] = True  # because b is zero
    mergeable: ClassVar[bool] = True
    budget_knob: ClassVar[str | None] = None  # one vector per layer
    unsupported: ClassVar[Mapping[str, str]] = {
        "gpt2": "its layers are transformers' Conv1D, and peft's BEFT takes only nn.Linear"
    }
    #: The upper end of the range searched by Ben Zaken et al., 1e-4 to 1e-3.
    training: ClassVar[Mapping[str, Any]] = {"learning_rate": 1e-3}

    def __post_init__(self) -> None:
        object.__setattr__(self, "target_modules", targets("BitFit", self.target_modules))

    def trainable_parameters(self, shapes: Shapes) -> int:
        """``d_out`` of every target."""
        return sum(layer.d_out for layer in targeted("BitFit", shapes, self.target_modules))

    def config(self, model: PreTrainedModel) -> PeftConfig:
        """See `PeftMethod.config`."""
        import peft

        from peftbench.models._shapes import Shapes

        targeted("BitFit", Shapes.of(model), self.target_modules)
        return peft.BeftConfig(
            task_type="CAUSAL_LM",
            target_modules=(
                self.target_modules
                if isinstance(self.target_modules, str)
                else list(self.target_modules)
            ),
        )

    def merge(self, adapted: nn.Module) -> PreTrainedModel:
        """See `Method.merge`.

        A layer without a bias gets one. Few architectures can say so in their config
        (Llama: `attention_bias`, `mlp_bias`), so reload the merged model with care.
        """
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
