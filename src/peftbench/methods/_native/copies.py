"""Layers of the base trained as they are, on copies."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import torch
from torch import nn
from torch.func import functional_call

from peftbench.methods._native.part import Part, Wrapped, like_parameters


class TrainedCopy(Part):
    """Computes what a layer computes, with float32 copies of its parameters.

    The base keeps its own, so it serves the next method untouched.
    """

    def __init__(self, layer: nn.Module, only: Iterable[str] | None = None) -> None:
        super().__init__()
        wanted = dict(layer.named_parameters(recurse=False))
        self.copies = nn.ParameterDict(
            {
                name: nn.Parameter(wanted[name].detach().float().clone())
                for name in (wanted if only is None else only)
            }
        )

    def forward(self, base: Wrapped, *arguments: Any, **keywords: Any) -> Any:
        """`base` is the layer itself, so one copy at a time is active."""
        x = cast("torch.Tensor", arguments[0])
        layer = cast("nn.Module", base)
        first = next(iter(self.copies.values()))
        own = {
            name: p.to(first.dtype)
            for name, p in layer.named_parameters(recurse=False)
            if name not in self.copies
        }
        trained = dict(self.copies.items())
        rest = (like_parameters(x, first), *arguments[1:])
        output = functional_call(layer, {**own, **trained}, rest, keywords)
        return cast("torch.Tensor", output).to(x.dtype)

    def fold_into(self, layer: nn.Module) -> None:
        """The copies take the place of the layer's own; tied weights part."""
        for name, copy in self.copies.items():
            dtype = layer.get_parameter(name).dtype
            setattr(layer, name, nn.Parameter(copy.detach().to(dtype), requires_grad=False))
