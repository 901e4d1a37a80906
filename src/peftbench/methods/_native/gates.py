"""Gates that decide, token by token, how much of an update is added."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import nn

from peftbench.methods._native.part import Additive, Tensor, like_parameters


class Gated(Additive):
    """``h + g * update`` with ``g = sigmoid(w . z + c)``, z the input or the output."""

    def __init__(
        self, branch: Additive, width: int, reads: Literal["input", "output"]
    ) -> None:
        super().__init__()
        self.branch = branch
        self.gate = nn.Linear(width, 1)
        self.reads = reads

    def input_of(self, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> Tensor:
        return self.branch.input_of(arguments, keywords)

    def update(self, x: Tensor, h: Tensor) -> Tensor:
        z = like_parameters(x if self.reads == "input" else h, self.gate.weight)
        return torch.sigmoid(self.gate(z)) * self.branch.update(x, h)
