"""The intervention of LoReFT."""

from __future__ import annotations

from typing import cast

import torch
from torch import nn
from torch.nn.functional import linear

from peftbench.methods._native.part import Additive, Tensor, like_parameters


class LowRankIntervention(Additive):
    """``h + R^T (W h + b - R h)`` with the rows of R orthonormal.

    R^T is the factor Q of the QR decomposition of `directions`, (width, rank), its signs
    fixed so that the factor is unique: any value of `directions` gives orthonormal rows.
    """

    def __init__(self, width: int, rank: int) -> None:
        super().__init__()
        self.source = nn.Linear(width, rank)
        self.directions = nn.Parameter(torch.empty(width, rank))
        nn.init.orthogonal_(self.directions)

    def rotation(self) -> Tensor:
        """R: (rank, width)."""
        q, r = torch.linalg.qr(self.directions)
        return cast("Tensor", (q * r.diagonal().sign()).t())

    def update(self, x: Tensor, h: Tensor) -> Tensor:
        state, rotation = like_parameters(h, self.directions), self.rotation()
        return cast("Tensor", (self.source(state) - linear(state, rotation)) @ rotation)
