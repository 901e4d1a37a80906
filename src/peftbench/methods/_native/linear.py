"""`nn.Linear` and GPT-2's `Conv1D` as one thing: y = W x + b with W of (d_out, d_in)."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from peftbench.errors import ModelError


def is_linear(module: nn.Module) -> bool:
    """Whether `module` is a linear map with a weight to change."""
    return isinstance(module, nn.Linear | Conv1D)


def weight_of(layer: nn.Module) -> torch.Tensor:
    """W of (d_out, d_in), a view of the layer's own weight."""
    weight = cast("torch.Tensor", layer.weight)
    if not weight.is_floating_point():
        raise ModelError(
            f"This method reads or changes the weights of linear layers, and those of a "
            f"{type(layer).__name__} are quantised; load the base model without quantisation."
        )
    return as_rows(layer, weight)


def as_rows(layer: nn.Module, weight: torch.Tensor) -> torch.Tensor:
    """A tensor of the shape of the layer's own weight as (d_out, d_in)."""
    return weight.t() if isinstance(layer, Conv1D) else weight


def size_of(layer: nn.Module) -> tuple[int, int]:
    """(d_out, d_in)."""
    if isinstance(layer, Conv1D):
        return int(layer.nf), int(layer.nx)
    linear = cast("nn.Linear", layer)
    return linear.out_features, linear.in_features


@torch.no_grad()
def set_weight(layer: nn.Module, weight: torch.Tensor) -> None:
    """Put `weight`, (d_out, d_in), in place of the layer's, rounded to its precision."""
    own = weight.t() if isinstance(layer, Conv1D) else weight
    old = cast("torch.Tensor", layer.weight)
    layer.weight = nn.Parameter(own.to(old.dtype).contiguous(), requires_grad=False)


@torch.no_grad()
def set_bias(layer: nn.Module, bias: torch.Tensor) -> None:
    """Give the layer this bias, (d_out,), also where it had none.

    Few architectures can say so in their config, so reload a merged model with care.
    """
    dtype = cast("torch.Tensor", layer.weight).dtype
    cast("Any", layer).bias = nn.Parameter(bias.to(dtype), requires_grad=False)


def bias_of(layer: nn.Module) -> torch.Tensor:
    """The layer's bias, or zeros of (d_out,), in float32."""
    bias = cast("torch.Tensor | None", layer.bias)
    if bias is not None:
        return bias.float()
    weight = cast("torch.Tensor", layer.weight)
    return torch.zeros(size_of(layer)[0], device=weight.device)
