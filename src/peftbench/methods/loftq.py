"""LoftQ: LoRA that starts by making up for what 4-bit quantisation takes away."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from peftbench.methods._linear import NOT_LINEAR
from peftbench.methods._settings import whole
from peftbench.methods.lora import Lora
from peftbench.models import Linear, Shapes

if TYPE_CHECKING:
    import torch
    from peft import PeftConfig, PeftModel
    from transformers import PreTrainedModel

_ADAPTER = "default"


@dataclass(frozen=True, kw_only=True)
class Loftq(Lora):
    """LoRA-fine-tuning-aware quantisation (Li et al., 2023, arXiv:2310.08659).

    Computes ``Q x + s B A x`` with s = alpha / rank and Q: (d_out, d_in), frozen, values that
    4-bit NormalFloat can hold. Q, A: (rank, d_in) and B: (d_out, rank) start at a near minimum of
    ``||W - Q - s B A||``: in turns Q is the quantised ``W - s B A``, and s B A the leading singular
    directions of ``W - Q``. Q stays in the precision of the base, so memory is that of `lora`;
    what quantisation does to the scores is all there. `detach` brings W back; loading an adapter
    computes Q anew.
    Trains ``rank * (d_in + d_out)`` parameters per layer, rank at most the smallest width.
    """

    iterations: int = whole(5, hint="try 1 to 5")

    title = "LoftQ"
    paper = "Li et al., 2023, arXiv:2310.08659"
    defaults_from = (
        "5 alternations, NormalFloat in blocks of 64: Li et al.; the rest: those of `lora`"
    )
    identity_at_start = False  # the base is quantised
    unsupported = NOT_LINEAR
    #: Li et al., Llama 2-7B on GSM8K.
    training = {"learning_rate": 3e-4}

    def layer_parameters(self, layer: Linear, shapes: Shapes) -> int:
        return min(self.rank, self.narrowest(shapes)) * (layer.d_in + layer.d_out)

    def peft_fields(self, shapes: Shapes) -> dict[str, Any]:
        return super().peft_fields(shapes) | {"r": min(self.rank, self.narrowest(shapes))}

    def changed_weights(self, model: PreTrainedModel) -> Collection[str]:
        """Those of all targets."""
        return [f"{layer.name}.weight" for layer in self.layers(Shapes.of(model))]

    def _wrap(self, model: PreTrainedModel, config: PeftConfig) -> PeftModel:
        from peft.tuners.lora import LoraLayer

        adapted = super()._wrap(model, config)
        for module in adapted.modules():
            if not isinstance(module, LoraLayer):
                continue
            layer: Any = module
            weight, scale = layer.get_base_layer().weight, layer.scaling[_ADAPTER]
            quantised, b, a = alternate(weight, layer.r[_ADAPTER], self.iterations)
            weight.data = quantised.to(weight.dtype)
            layer.lora_A[_ADAPTER].weight.data = (a / scale).contiguous()
            layer.lora_B[_ADAPTER].weight.data = b.contiguous()
        return adapted


def alternate(
    weight: torch.Tensor, rank: int, iterations: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Q: (m, n), B: (m, rank) and A: (rank, n) with ``weight`` about ``Q + B A``; the paper's
    algorithm 1, in float32."""
    import torch

    full = weight.detach().float()
    low_rank, factors = torch.zeros_like(full), None
    for _ in range(iterations):
        quantised = normal_float(full - low_rank)
        left, values, right = torch.linalg.svd(full - quantised, full_matrices=False)
        roots = values[:rank].sqrt()
        factors = left[:, :rank] * roots, roots[:, None] * right[:rank]
        low_rank = factors[0] @ factors[1]
    assert factors is not None
    return quantised, *factors


def normal_float(weight: torch.Tensor) -> torch.Tensor:
    """The nearest values that 4-bit NormalFloat in blocks of 64 can hold."""
    import torch
    from bitsandbytes import functional

    packed, state = functional.quantize_4bit(
        weight.contiguous(), blocksize=64, quant_type="nf4"
    )
    found: torch.Tensor = functional.dequantize_4bit(packed, state)
    return found.to(torch.float32)


METHOD = Loftq
