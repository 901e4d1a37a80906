"""Linear layers whose weight is a sum of Kronecker products."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import gelu

from peftbench.methods._native.part import Loan, Tensor, lend, like_parameters


class Rules(nn.Module):
    """A: (n, n, n), the matrices that all layers of a model share."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.values = nn.Parameter(torch.randn(n, n, n) / n)


class HypercomplexLinear(nn.Module):
    """``W x + b`` with ``W = sum_i A_i (x) (s_i t_i^T)``, (x) the Kronecker product.

    A_i: (n, n), shared.  s: (n, d_out / n).  t: (n, d_in / n), together of rank 1 each.
    """

    def __init__(self, d_in: int, d_out: int, rules: Rules, *, zero: bool) -> None:
        super().__init__()
        n = rules.values.shape[0]
        self.rules: Loan[Rules] = lend(rules)
        self.s = nn.Parameter(torch.zeros(n, d_out // n))
        self.t = nn.Parameter(torch.empty(n, d_in // n))
        self.bias = nn.Parameter(torch.zeros(d_out))
        nn.init.xavier_uniform_(self.t)
        if not zero:
            nn.init.xavier_uniform_(self.s)

    def weight(self) -> Tensor:
        """W: (d_out, d_in)."""
        product = torch.einsum("ipq,ia,ib->paqb", self.rules().values, self.s, self.t)
        p, a, q, b = product.shape
        return product.reshape(p * a, q * b)

    def forward(self, x: Tensor) -> Tensor:
        """x: (..., d_in)."""
        return nn.functional.linear(x, self.weight(), self.bias)


class HypercomplexBottleneck(nn.Module):
    """``U gelu(D x + d) + u`` with D and U hypercomplex; U starts at zero."""

    def __init__(self, width: int, bottleneck: int, rules: Rules, *, owns: bool) -> None:
        super().__init__()
        self.owned = rules if owns else None
        self.down = HypercomplexLinear(width, bottleneck, rules, zero=False)
        self.up = HypercomplexLinear(bottleneck, width, rules, zero=True)

    def forward(self, x: Tensor) -> Tensor:
        """x: (..., width), any precision."""
        result: Tensor = self.up(gelu(self.down(like_parameters(x, self.down.bias))))
        return result
