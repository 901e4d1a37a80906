"""A side network of small transformer blocks, fed by the blocks of the base."""

from __future__ import annotations

import math
from typing import Any, cast

import torch
from torch import nn
from torch.nn.functional import gelu, scaled_dot_product_attention
from transformers.cache_utils import Cache, DynamicLayer

from peftbench.methods._native.calls import Call
from peftbench.methods._native.part import Part, Tensor, Wrapped, changed

#: Of the gates, sigmoid(alpha / temperature); of the paper.
_TEMPERATURE = 0.1
_HEADS = 4
#: Of the inner width of the side network's feed-forward network over its own.
_WIDENING = 4


class SideState:
    """The side network's hidden state on its way up, within one pass of the base."""

    def __init__(self) -> None:
        self.value: Tensor | None = None


class SideBlock(nn.Module):
    """``s + attention(norm(s))``, then ``s + feed_forward(norm(s))``; s: (rows, length, width).

    It has no positions of its own: what it is fed by knows them.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.heads = math.gcd(width, _HEADS)
        self.attention_norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.feed_forward_norm = nn.LayerNorm(width)
        self.inner = nn.Linear(width, _WIDENING * width, bias=False)
        self.outer = nn.Linear(_WIDENING * width, width, bias=False)

    def forward(
        self, s: Tensor, mask: Tensor | None, cache: Cache | None, layer: int
    ) -> Tensor:
        """`mask` and `cache` are those of the base's block; `layer` is where in the cache."""
        s = s + self._attention(self.attention_norm(s), mask, cache, layer)
        inner = gelu(self.inner(self.feed_forward_norm(s)))
        return cast("Tensor", s + self.outer(inner))

    def _attention(
        self, s: Tensor, mask: Tensor | None, cache: Cache | None, layer: int
    ) -> Tensor:
        rows, length, width = s.shape
        qkv = self.qkv(s).view(rows, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        query, key, value = qkv.unbind()
        if cache is not None:
            while len(cache.layers) <= layer:  # behind the base's own
                cache.layers.append(DynamicLayer())
            key, value = cache.update(key, value, layer)
        if mask is not None:
            mask = mask[..., : key.shape[-2]]
            mask = mask if mask.dtype == torch.bool else mask.to(query.dtype)
        out = scaled_dot_product_attention(
            query, key, value, attn_mask=mask, is_causal=mask is None and length > 1
        )
        return cast("Tensor", self.out(out.transpose(1, 2).reshape(rows, length, width)))


class Rung(Part):
    """Runs a block of the base as it is, and one block of the side network beside it.

    ``s <- side(m * D h + (1 - m) * s)`` with h what the block returns, detached, and
    ``m = sigmoid(alpha / 0.1)``. Below the first rung, ``s = D0 x`` with x its input.
    """

    def __init__(
        self, state: SideState, layer: int, width: int, side_width: int, blocks: int
    ) -> None:
        super().__init__()
        self.state = state
        self.layer = blocks + layer
        self.is_first = layer == 0
        if self.is_first:
            self.down_input = nn.Linear(width, side_width, bias=False)
        self.down = nn.Linear(width, side_width, bias=False)
        self.alpha = nn.Parameter(torch.zeros(1))
        self.block = SideBlock(side_width)

    def forward(self, base: Wrapped, *arguments: Any, **keywords: Any) -> Any:
        """What the base's block returns is returned untouched."""
        call = Call(base, arguments, keywords)
        output = base(*arguments, **keywords)
        h = output[0] if isinstance(output, tuple) else output
        dtype = self.alpha.dtype
        if self.is_first:
            self.state.value = self.down_input(call.hidden.detach().to(dtype))
        below = self.state.value
        assert below is not None, "the first rung did not run"
        share = torch.sigmoid(self.alpha / _TEMPERATURE)
        mixed = share * self.down(h.detach().to(dtype)) + (1 - share) * below
        self.state.value = self.block(mixed, call.mask, call.cache, self.layer)
        return output


class Top(Part):
    """``norm(h) + U norm(s)``: where the side network joins; U starts at zero."""

    def __init__(self, state: SideState, width: int, side_width: int) -> None:
        super().__init__()
        self.state = state
        self.norm = nn.LayerNorm(side_width)
        self.up = nn.Linear(side_width, width, bias=False)
        nn.init.zeros_(self.up.weight)

    def forward(self, base: Wrapped, *arguments: Any, **keywords: Any) -> Any:
        side, self.state.value = self.state.value, None
        assert side is not None, "the rungs did not run"
        return changed(base(*arguments, **keywords), lambda h: h + self.up(self.norm(side)))
