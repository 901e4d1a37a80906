"""Low-rank updates beside, behind and shared between linear layers."""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import nn
from torch.nn.functional import linear as matmul

from peftbench.methods._native import linear
from peftbench.methods._native.part import (
    Additive,
    Loan,
    Part,
    Tensor,
    Wrapped,
    changed,
    lend,
    like_parameters,
)


def random_rows(rank: int, width: int) -> nn.Parameter:
    """(rank, width), as LoRA starts its A."""
    rows = nn.Parameter(torch.empty(rank, width))
    nn.init.kaiming_uniform_(rows, a=math.sqrt(5))
    return rows


class LowRank(Additive):
    """``y + scale * B A x``: A random, B zero, the arithmetic of `peft`'s LoRA."""

    def __init__(self, layer: nn.Module, rank: int, scale: float) -> None:
        super().__init__()
        d_out, d_in = linear.size_of(layer)
        self.a, self.b = random_rows(rank, d_in), nn.Parameter(torch.zeros(d_out, rank))
        self.scale = scale

    def update(self, x: Tensor, h: Tensor) -> Tensor:
        return matmul(matmul(like_parameters(x, self.a), self.a), self.b) * self.scale

    def fold_into(self, layer: nn.Module) -> None:
        """Add the product to the weight."""
        update = self.scale * self.b @ self.a
        linear.set_weight(layer, linear.weight_of(layer) + update)


class ParallelAndSequential(Part):
    """``y + s B A x + s D C y`` with ``y = W x + b``: A and C random, B and D zero."""

    def __init__(self, layer: nn.Module, rank: int, scale: float) -> None:
        super().__init__()
        d_out, d_in = linear.size_of(layer)
        self.a, self.b = random_rows(rank, d_in), nn.Parameter(torch.zeros(d_out, rank))
        self.c, self.d = random_rows(rank, d_out), nn.Parameter(torch.zeros(d_out, rank))
        self.scale = scale

    def forward(self, base: Wrapped, *arguments: Tensor) -> Tensor:
        x = like_parameters(arguments[0], self.a)
        beside = matmul(matmul(x, self.a), self.b)

        def both(y: Tensor) -> Tensor:
            behind = matmul(matmul(like_parameters(y, self.c), self.c), self.d)
            return y + self.scale * (beside + behind)

        return cast("Tensor", changed(base(*arguments), both))

    def fold_into(self, layer: nn.Module) -> None:
        """``(I + s D C)(W x + b) + s B A x``."""
        weight, bias = linear.weight_of(layer).float(), layer.bias
        behind = self.scale * self.d @ self.c
        beside = self.scale * self.b @ self.a
        if bias is not None:
            old = linear.bias_of(layer)
            linear.set_bias(layer, old + behind @ old)
        linear.set_weight(layer, weight + behind @ weight + beside)


class NestedRanks(Additive):
    """``y + (alpha / b) B[:, :b] A[:b] x``: a random b while training, else the whole rank."""

    def __init__(self, layer: nn.Module, rank: int, alpha: float) -> None:
        super().__init__()
        d_out, d_in = linear.size_of(layer)
        self.a, self.b = random_rows(rank, d_in), nn.Parameter(torch.zeros(d_out, rank))
        self.alpha = alpha

    def update(self, x: Tensor, h: Tensor) -> Tensor:
        rank = self.a.shape[0]
        if self.training:
            rank = int(torch.randint(1, rank + 1, ()))
        inner = matmul(like_parameters(x, self.a), self.a[:rank])
        return self.alpha / rank * matmul(inner, self.b[:, :rank])

    def fold_into(self, layer: nn.Module) -> None:
        """Add the update of the whole rank to the weight."""
        update = self.alpha / self.a.shape[0] * self.b @ self.a
        linear.set_weight(layer, linear.weight_of(layer) + update)


class Factor(nn.Module):
    """One factor that layers of a width share: (rank, width)."""

    def __init__(self, values: nn.Parameter) -> None:
        super().__init__()
        self.values = values


class SharedFactors(Additive):
    """``y + s U^T C V x``: V and U belong to the width, C: (rank, rank) to the layer.

    `owned` are the factors of which this part is the owner; all others borrow them.
    """

    def __init__(
        self, rank: int, scale: float, left: Factor, right: Factor, owned: list[Factor]
    ) -> None:
        super().__init__()
        self.core = random_rows(rank, rank)
        self.left: Loan[Factor] = lend(left)
        self.right: Loan[Factor] = lend(right)
        self.owned = nn.ModuleList(owned)
        self.scale = scale

    def update(self, x: Tensor, h: Tensor) -> Tensor:
        x = like_parameters(x, self.core)
        inner = matmul(matmul(x, self.right().values), self.core)
        return self.scale * inner @ self.left().values

    def fold_into(self, layer: nn.Module) -> None:
        """Add the product to the weight."""
        update = self.left().values.t() @ self.core @ self.right().values
        linear.set_weight(layer, linear.weight_of(layer) + self.scale * update)
