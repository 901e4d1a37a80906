"""Bottleneck adapters: down, non-linearity, up, after or beside a module."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, cast

from torch import nn
from torch.nn import functional

from peftbench.methods._native.part import (
    Additive,
    Part,
    Tensor,
    Wrapped,
    hidden_input,
    like_parameters,
)
from peftbench.methods._native.places import Block

NON_LINEARITIES: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": functional.relu,
    "gelu": functional.gelu,
    "silu": functional.silu,
}


class Bottleneck(nn.Module):
    """``scale * (U f(D x + d) + u)`` with D: (bottleneck, width), U: (width, bottleneck).

    U and both biases start at zero, so that an adapter starts as no change at all.
    """

    def __init__(
        self,
        width: int,
        bottleneck: int,
        *,
        non_linearity: str = "relu",
        scale: float = 1.0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.down = nn.Linear(width, bottleneck)
        self.up = nn.Linear(bottleneck, width)
        nn.init.kaiming_uniform_(self.down.weight, a=math.sqrt(5))
        for zero in (self.down.bias, self.up.weight, self.up.bias):
            nn.init.zeros_(zero)
        self.non_linearity = NON_LINEARITIES[non_linearity]
        self.scale = scale
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """x: (..., width), any precision."""
        inner = self.non_linearity(self.down(like_parameters(x, self.down.weight)))
        return self.scale * cast("Tensor", self.up(self.dropout(inner)))


class After(Additive):
    """``h + adapter(h)`` with h the output of the module."""

    def __init__(self, adapter: nn.Module) -> None:
        super().__init__()
        self.adapter = adapter

    def update(self, x: Tensor, h: Tensor) -> Tensor:
        return cast("Tensor", self.adapter(h))


class Held:
    """An activation on its way from one module to a later one of the same block."""

    def __init__(self) -> None:
        self.value: Tensor | None = None

    def take(self) -> Tensor:
        """Hand it over; nothing stays behind in memory."""
        value, self.value = self.value, None
        assert value is not None, "the module that hands its input on did not run"
        return value


class HandsInputOn(Part):
    """Changes nothing: notes the input of a module for one that runs later."""

    def __init__(self, held: Held) -> None:
        super().__init__()
        self.held = held

    def forward(self, base: Wrapped, *arguments: Any, **keywords: Any) -> Any:
        self.held.value = hidden_input(arguments, keywords)
        return base(*arguments, **keywords)


class Beside(Additive):
    """``F(x) + adapter(x)`` with F the module; x its input, or what was handed on."""

    def __init__(self, adapter: nn.Module, held: Held | None = None) -> None:
        super().__init__()
        self.adapter = adapter
        self.held = held

    def input_of(self, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> Tensor:
        return self.held.take() if self.held else hidden_input(arguments, keywords)

    def update(self, x: Tensor, h: Tensor) -> Tensor:
        return cast("Tensor", self.adapter(x))


def beside_feed_forward(block: Block, adapter: nn.Module) -> dict[str, Part]:
    """`adapter` beside the feed-forward network, from its input to its output."""
    if block.feed_forward_in == block.feed_forward:
        return {block.feed_forward: Beside(adapter)}
    held = Held()
    return {
        block.feed_forward_in: HandsInputOn(held),
        block.feed_forward: Beside(adapter, held),
    }
