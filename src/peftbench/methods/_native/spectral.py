"""Updates in the basis of a weight's own singular vectors."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import linear as matmul
from torch.nn.functional import pad

from peftbench.methods._native import linear
from peftbench.methods._native.part import Additive, Tensor, like_parameters


@torch.no_grad()
def singular_vectors(weight: Tensor) -> tuple[Tensor, Tensor]:
    """U: (d_out, k) and V^T: (k, d_in) of a weight, k the smaller side, in float32.

    They must be the same wherever they are computed again. So signs are fixed by the entry
    of each left vector that is largest in magnitude, and the decomposition is in float64:
    rounding would turn vectors of close singular values into each other.
    """
    if weight.is_meta:
        k = min(weight.shape)
        return weight.new_empty(weight.shape[0], k).float(), weight.new_empty(
            k, weight.shape[1]
        ).float()
    u, _, v = torch.linalg.svd(weight.double(), full_matrices=False)
    largest = u.abs().argmax(0, keepdim=True)
    signs = u.gather(0, largest).sign()
    return (u * signs).float(), (v * signs.t()).float()


class SpectralUpdate(Additive):
    """``W x + U M V^T x`` with M: (k, k) banded, its diagonals trained from zero."""

    left: Tensor
    right: Tensor

    def __init__(self, layer: nn.Module, off_diagonals: int) -> None:
        super().__init__()
        u, v = singular_vectors(linear.weight_of(layer))
        self.register_buffer("left", u, persistent=False)
        self.register_buffer("right", v, persistent=False)
        k, device = u.shape[1], u.device
        self.diagonals = nn.ParameterList(
            nn.Parameter(torch.zeros(k - abs(offset), device=device))
            for offset in range(-off_diagonals, off_diagonals + 1)
        )
        self.off_diagonals = off_diagonals

    def update(self, x: Tensor, h: Tensor) -> Tensor:
        coordinates = matmul(like_parameters(x, self.right), self.right)
        return matmul(self._banded(coordinates), self.left)

    def fold_into(self, layer: nn.Module) -> None:
        """Add ``U M V^T`` to the weight."""
        update = self.left @ self._banded(self.right.t()).t()
        linear.set_weight(layer, linear.weight_of(layer) + update)

    def _banded(self, z: Tensor) -> Tensor:
        """``M z`` for z: (..., k), one diagonal at a time."""
        total = torch.zeros_like(z)
        k = z.shape[-1]
        for offset, values in enumerate(self.diagonals, start=-self.off_diagonals):
            if offset >= 0:  # row i meets column i + offset
                total = total + pad(values * z[..., offset:], (0, offset))
            else:
                total = total + pad(values * z[..., : k + offset], (-offset, 0))
        return total
