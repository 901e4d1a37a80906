"""Lily: second factors are shared across layers and mixed by a router, token by token."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from types import MethodType
from typing import TYPE_CHECKING, Any

from peftbench.methods._linear import NOT_LINEAR, LinearMethod
from peftbench.methods._settings import positive, whole
from peftbench.models import Linear, Shapes

if TYPE_CHECKING:
    import torch
    from peft import PeftConfig, PeftModel
    from transformers import PreTrainedModel


@dataclass(frozen=True, kw_only=True)
class Lily(LinearMethod):
    """Interconnected low-rank adaptation (Zhong et al., 2024, arXiv:2407.09946).

    Computes ``W x + scaling * sum_e p_e B_e A x`` with W: (d_out, d_in), frozen, A: (rank, d_in),
    random, shared by `stride` neighbouring layers of one name; B_e: (d_out, rank), zero,
    num_experts of them for all layers of that name; and ``p = softmax(R A x)`` with the layer's own
    R: (num_experts, rank). `peft` averages p over all tokens of a batch, so that the logits of a
    token depend on later ones, on padding and on other rows; here every token has its own.
    Trains ``rank * d_in`` for every stride layers of a name, ``num_experts * rank * d_out`` for the
    name, and ``num_experts * rank`` per layer. What is shared is saved once for each layer.
    """

    rank: int = whole(32, peft="r", hint="try 16 to 256")
    stride: int = whole(2, peft="stride_A", hint="try 2 to 4")
    num_experts: int = whole(2, peft="num_B", hint="try 2 to 8")
    scaling: float = positive(4.0, peft="scaling", hint="try 1 to 8")

    title = "Lily"
    tuner = "LilyConfig"
    family = "reparameterised"
    paper = "Zhong et al., 2024, arXiv:2407.09946"
    defaults_from = (
        "stride 2, 2 experts, scaling 4: huggingface/peft, method_comparison/MetaMathQA; "
        "rank 32: peft"
    )
    identity_at_start = True  # because every B is zero
    mergeable = False  # the mixture depends on the token
    budget_knob = "rank"
    unsupported = NOT_LINEAR
    #: huggingface/peft, method_comparison/MetaMathQA, lily on Llama-3.2-3B.
    training = {"learning_rate": 1e-4}

    def layer_parameters(self, layer: Linear, shapes: Shapes) -> int:
        """What is saved of one layer: its router, and what it shares."""
        outputs = self.num_experts * (layer.d_out + 1)
        return self.rank * (layer.d_in + outputs)

    def trainable_parameters(self, shapes: Shapes) -> int:
        layers = sorted(self.layers(shapes), key=_kind)
        total = 0
        for (_, d_in, d_out), group in groupby(layers, key=_kind):
            count = len(list(group))
            firsts = -(-count // self.stride) * d_in
            total += self.rank * (firsts + self.num_experts * (d_out + count))
        return total

    def stored_parameters(self, shapes: Shapes) -> int:
        """What is shared, once for each layer."""
        return super().trainable_parameters(shapes)

    def peft_fields(self, shapes: Shapes) -> dict[str, Any]:
        # Names, since "all-linear" makes peft take every layer for a kind of its own.
        return super().peft_fields(shapes) | {
            "target_modules": sorted({layer.leaf for layer in self.layers(shapes)})
        }

    def _wrap(self, model: PreTrainedModel, config: PeftConfig) -> PeftModel:
        from peft.tuners.lily import Linear as LilyLinear

        adapted = super()._wrap(model, config)
        for module in adapted.modules():
            if isinstance(module, LilyLinear):
                module.forward = MethodType(_token_by_token, module)
        return adapted


def _kind(layer: Linear) -> tuple[str, int, int]:
    return layer.leaf, layer.d_in, layer.d_out


def _token_by_token(layer: Any, x: torch.Tensor, *rest: Any, **more: Any) -> torch.Tensor:
    """The forward pass of `peft`'s layer, with a mixture for each token."""
    result: torch.Tensor = layer.base_layer(x, *rest, **more)
    if layer.disable_adapters:
        return result
    for name in layer.active_adapters:
        experts, shared = (
            layer.num_B[name],
            layer.lily_B[name].weight,
        )  # (experts * rank, d_out)
        hidden = layer.lily_A[name](x.to(shared.dtype))  # (..., rank)
        shares = layer.lily_router[name](hidden).softmax(-1)  # (..., experts)
        mixed = (shares[..., :, None] * hidden[..., None, :]).flatten(-2)
        assert mixed.shape[-1] == experts * hidden.shape[-1]
        result = result + (layer.scaling[name] * (mixed @ shared)).to(result.dtype)
    return result


METHOD = Lily
