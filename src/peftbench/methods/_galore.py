"""AdamW whose moments live in a low-rank projection of the gradient (GaLore).

Zhao et al., 2024, arXiv:2403.03507, algorithm 2.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn


class GaloreAdamW(torch.optim.Optimizer):
    """AdamW; for the matrices that `projected` names, in a subspace of `rank` directions.

    The subspace of a matrix G: (m, n) is spanned by the leading singular vectors of its
    gradient, those of the shorter side, and taken anew every `update_every` steps; the moments
    are kept. The step that comes back from it is multiplied by `scale`.
    """

    def __init__(
        self,
        parameters: Mapping[str, nn.Parameter],
        projected: frozenset[str],
        *,
        lr: float,
        weight_decay: float,
        rank: int,
        scale: float,
        update_every: int,
    ) -> None:
        self.rank, self.scale, self.update_every = rank, scale, update_every
        inside = [p for name, p in parameters.items() if name in projected]
        outside = [p for name, p in parameters.items() if name not in projected]
        groups = [{"params": inside, "galore": True}, {"params": outside, "galore": False}]
        defaults = {
            "lr": lr,
            "weight_decay": weight_decay,
            "betas": (0.9, 0.999),
            "eps": 1e-8,
        }
        super().__init__([group for group in groups if group["params"]], defaults)

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """One step on the gradients that are there; `closure` must be None."""
        assert closure is None, "GaLore's subspace needs gradients that are already there"
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, group)

    def _update(self, parameter: nn.Parameter, group: dict[str, Any]) -> None:
        state, gradient = self.state[parameter], parameter.grad
        assert gradient is not None
        number = state.get("step", 0)
        if group["galore"] and number % self.update_every == 0:
            state["subspace"] = subspace(gradient, self.rank)
        if group["galore"]:
            gradient = into(state["subspace"], gradient)
        if number == 0:
            state["exp_avg"] = torch.zeros_like(gradient)
            state["exp_avg_sq"] = torch.zeros_like(gradient)
        state["step"] = number + 1
        beta1, beta2 = group["betas"]
        mean, square = state["exp_avg"], state["exp_avg_sq"]
        mean.lerp_(gradient, 1 - beta1)
        square.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        unbiased = mean / (1 - beta1 ** state["step"])
        spread = square.sqrt() / math.sqrt(1 - beta2 ** state["step"])
        update = unbiased / (spread + group["eps"])
        if group["galore"]:
            update = self.scale * out_of(state["subspace"], update)
        parameter.mul_(1 - group["lr"] * group["weight_decay"])
        parameter.sub_(update, alpha=group["lr"])


def subspace(gradient: torch.Tensor, rank: int) -> torch.Tensor:
    """Leading singular vectors of `gradient`: (m, n), those of its shorter side.

    (m, rank) where m < n, to be multiplied from the left, else (rank, n), from the right.
    """
    left, _, right = torch.linalg.svd(gradient.float(), full_matrices=False)
    tall = gradient.shape[0] >= gradient.shape[1]
    kept: torch.Tensor = right[:rank] if tall else left[:, :rank]
    return kept.to(gradient.dtype).contiguous()


def into(space: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    """`gradient`: (m, n) in the coordinates of `space`: (m, rank), or (rank, n) where m >= n."""
    tall = gradient.shape[0] >= gradient.shape[1]
    found: torch.Tensor = gradient @ space.T if tall else space.T @ gradient
    return found


def out_of(space: torch.Tensor, update: torch.Tensor) -> torch.Tensor:
    """The (m, n) matrix whose coordinates in `space` are `update`."""
    tall = space.shape[0] == update.shape[1]
    found: torch.Tensor = update @ space if tall else space @ update
    return found
