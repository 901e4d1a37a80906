"""The arguments of a module of the base, whatever its architecture calls them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache, partial
from typing import Any, cast

import torch
from torch import nn
from transformers.cache_utils import Cache

from peftbench.methods._native.part import Wrapped


class Call:
    """One call of an attention module or a block, with what can be changed in it."""

    def __init__(
        self, base: Wrapped, arguments: tuple[Any, ...], keywords: dict[str, Any]
    ) -> None:
        while isinstance(base, partial):  # other parts around the module
            base = base.args[0]
        self.module = cast("nn.Module", base)
        names = _names(type(self.module).forward)
        self.keywords = dict(zip(names, arguments, strict=False)) | keywords

    @property
    def hidden(self) -> torch.Tensor:
        """(rows, length, hidden)."""
        return cast("torch.Tensor", self.keywords["hidden_states"])

    @property
    def mask(self) -> torch.Tensor | None:
        """(rows or 1, heads or 1, length, keys), boolean or additive; None: causal."""
        return cast("torch.Tensor | None", self.keywords.get("attention_mask"))

    @property
    def cache(self) -> Cache | None:
        """Keys and values of earlier positions, of all layers."""
        found: Cache | None = self.keywords.get(self._cache_name)
        return found

    def with_(self, *, cache: Any, mask: torch.Tensor | None) -> dict[str, Any]:
        """The keywords of the call with another cache and mask."""
        return {**self.keywords, self._cache_name: cache, "attention_mask": mask}

    @property
    def _cache_name(self) -> str:
        return "layer_past" if "layer_past" in self.keywords else "past_key_values"


@cache
def _names(forward: Callable[..., Any]) -> tuple[str, ...]:
    return tuple(inspect.signature(forward).parameters)[1:]
