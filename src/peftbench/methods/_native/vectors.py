"""Parts that scale and shift what a module returns."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import nn

from peftbench.methods._native import linear
from peftbench.methods._native.part import (
    Additive,
    Part,
    Tensor,
    Wrapped,
    changed,
    like_parameters,
)


class ScaleShift(Part):
    """``g * y + b`` with y: (..., width) what a linear layer returns; g at one, b at zero."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(width))
        self.shift = nn.Parameter(torch.zeros(width))

    def forward(self, base: Wrapped, *arguments: Any, **keywords: Any) -> Any:
        return changed(base(*arguments, **keywords), lambda y: self.scale * y + self.shift)

    def fold_into(self, layer: nn.Module) -> None:
        """``g * (W x + b0) + b`` is a linear layer too."""
        bias = self.scale * linear.bias_of(layer) + self.shift
        linear.set_weight(layer, self.scale[:, None] * linear.weight_of(layer))
        linear.set_bias(layer, bias)


class TokenShift(Additive):
    """``h + (w . h + c) v``: one direction, as far as each token asks for; v at zero."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.direction = nn.Parameter(torch.zeros(width))
        self.amount = nn.Linear(width, 1)

    def update(self, x: Tensor, h: Tensor) -> Tensor:
        amount = self.amount(like_parameters(h, self.direction))
        return cast("Tensor", amount * self.direction)
