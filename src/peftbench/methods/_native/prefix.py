"""Trained keys and values before those of the input, inside one attention module.

`peft`'s prefix tuning puts them into the model's cache, which moves the positions of all
tokens and cannot be combined with adapters. Here the attention module is called with a cache
that hands the prefix out in front of what it holds, and with a mask that lets every token
see it: positions stay, and each layer is on its own.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn.functional import logsigmoid

from peftbench.errors import ModelError
from peftbench.methods._native.calls import Call
from peftbench.methods._native.part import Part, Tensor, Wrapped, like_parameters

_SPREAD = 0.02


class PrefixedCache:
    """A cache, or none, that returns a prefix in front of the keys and values of a layer."""

    def __init__(self, cache: Any, keys: Tensor, values: Tensor) -> None:
        self._cache, self._keys, self._values = cache, keys, values

    def update(
        self, keys: Tensor, values: Tensor, *arguments: Any, **keywords: Any
    ) -> tuple[Tensor, Tensor]:
        """See `transformers.Cache.update`; (rows, heads, positions, head_dim)."""
        if self._cache is not None:
            keys, values = self._cache.update(keys, values, *arguments, **keywords)
        return _before(self._keys, keys), _before(self._values, values)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cache, name)


def _before(prefix: Tensor, tensor: Tensor) -> Tensor:
    rows = tensor.shape[0]
    return torch.cat([prefix.to(tensor.dtype).expand(rows, -1, -1, -1), tensor], dim=-2)


class Prefix(Part):
    """Attention over ``[P_k; K]`` and ``[P_v; V]``: (kv_heads, tokens, head_dim) each.

    Gated, a query sees the prefix with ``g = sigmoid(w . x + c)`` of its weight: log g is
    added to its scores there. Closed, the prefix is not there at all.
    """

    def __init__(self, model: Any, tokens: int, *, gated: bool = False) -> None:
        super().__init__()
        config = model.config
        if config._attn_implementation not in ("sdpa", "eager"):
            raise ModelError(
                "A prefix inside attention needs a mask of its own, which "
                f"{config._attn_implementation} does not take; load the base model with "
                "attn_implementation sdpa or eager."
            )
        heads = config.num_attention_heads
        kv_heads = getattr(config, "num_key_value_heads", None) or heads
        head_dim = getattr(config, "head_dim", None) or config.hidden_size // heads
        size = (kv_heads, tokens, head_dim)
        self.keys = nn.Parameter(_SPREAD * torch.randn(size))
        self.values = nn.Parameter(_SPREAD * torch.randn(size))
        self.gate = nn.Linear(config.hidden_size, 1) if gated else None
        self.takes_boolean_masks = config._attn_implementation == "sdpa"

    def forward(self, base: Wrapped, *arguments: Any, **keywords: Any) -> Any:
        call = Call(base, arguments, keywords)
        cache = call.cache
        past = cache.get_seq_length(call.module.layer_idx) if cache is not None else 0
        prefixed = PrefixedCache(cache, self.keys, self.values)
        return base(**call.with_(cache=prefixed, mask=self._mask(call, int(past))))

    def _mask(self, call: Call, past: int) -> Tensor | None:
        """The mask of the call, with columns for the prefix in front."""
        x, mask = call.hidden, call.mask
        length, tokens = x.shape[1], self.keys.shape[1]
        if mask is None and self.gate is None and length == 1:
            return None  # one query sees all
        if mask is None:
            seen = torch.ones(length, past + length, dtype=torch.bool, device=x.device)
            mask = seen.tril(past)[None, None]
        if self.gate is None and mask.dtype == torch.bool and self.takes_boolean_masks:
            return nn.functional.pad(mask, (tokens, 0), value=True)
        if mask.dtype == torch.bool:
            lowest = torch.finfo(x.dtype).min
            mask = torch.zeros_like(mask, dtype=x.dtype).masked_fill(~mask, lowest)
        if self.gate is None:
            return nn.functional.pad(mask, (tokens, 0), value=0.0)
        opened = logsigmoid(self.gate(like_parameters(x, self.keys)))  # (rows, length, 1)
        columns = opened[:, None].expand(-1, mask.shape[1], -1, tokens).to(mask.dtype)
        return torch.cat([columns, mask.expand(x.shape[0], -1, -1, -1)], dim=-1)
