"""Token selection around an additive part (TS-PEFT; arXiv:2511.16147).

    r_i = |M(x_i)| / |h_i|          how large the update of token i is, beside what is there
    S_i = 1 if r_i >= tau else 0
    out = h_i + S_i M(x_i)

The step has no useful derivative in tau. Its place in the backward pass takes a window
around the cut: with c_i = <g_i, M(x_i)>, the exact first-order worth of token i's update,

    dL/dtau = - sum_i c_i k((r_i - tau) / w) / w,    w = std of r over the batch.

Only tokens near the cut vote. Whether a token is selected depends on it alone, never on the
batch, so a token decides the same when written with a cache as when read at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import torch
from torch import nn

from peftbench.methods._native.part import (
    Additive,
    Loan,
    Part,
    Tensor,
    Wrapped,
    changed,
    lend,
)

#: Added to |h|, which may be zero.
_EPSILON = 1e-6
#: The window is never narrower: in the first steps all r are close to zero.
_NARROWEST = 1e-3


def _logistic(z: Tensor) -> Tensor:
    return torch.sigmoid(z) * torch.sigmoid(-z)


def _triangle(z: Tensor) -> Tensor:
    return (1 - z.abs()).clamp(min=0)


KERNELS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "logistic": _logistic,
    "triangle": _triangle,
    "constant": torch.ones_like,  # plain straight-through
}


class Gate(torch.autograd.Function):
    """``1[r >= tau]``, and backward the window of the module's docstring."""

    @staticmethod
    def forward(ctx: Any, r: Tensor, tau: Tensor, window: Tensor) -> Tensor:
        """r, window: of one shape; `window` is ``k((r - tau) / w) / w``."""
        ctx.save_for_backward(window, tau)
        return (r >= tau).to(r.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, Tensor, None]:
        """Of tau alone: r is not moved to please the gate."""
        window, tau = ctx.saved_tensors
        return None, -(gradients[0] * window).sum().reshape(tau.shape), None


class Thresholds(nn.Module):
    """tau of every module, in one tensor."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.values = nn.Parameter(torch.zeros(count))


class Selection:
    """What the parts of one adapter and its hook tell each other.

    Per module, summed over the tokens that are no padding: `windows` (of the surrogate),
    `selected` and `tokens`.
    """

    def __init__(self, places: list[str], kernel: str) -> None:
        self.places = places
        self.kernel = KERNELS[kernel]
        self.learning = False  # whether tau gets gradients
        self.counting = False  # whether selected tokens are counted
        self.is_token: Tensor | None = None  # (rows, length); None: all are
        self.reset()

    def reset(self) -> None:
        """Begin to sum anew."""
        count = len(self.places)
        self.windows = [torch.zeros(()) for _ in range(count)]
        self.selected = [torch.zeros(()) for _ in range(count)]
        self.tokens = [torch.zeros(()) for _ in range(count)]

    def shares(self) -> dict[str, float]:
        """Share of tokens selected, by module."""
        return {
            place: float(selected / tokens.clamp(min=1))
            for place, selected, tokens in zip(
                self.places, self.selected, self.tokens, strict=True
            )
        }


class TokenSelective(Part):
    """An additive part whose update reaches only tokens for which it is large."""

    def __init__(
        self,
        branch: Additive,
        selection: Selection,
        index: int,
        thresholds: Thresholds,
    ) -> None:
        super().__init__()
        self.branch = branch
        self.selection = selection
        self.index = index
        self.thresholds: Loan[Thresholds] = lend(thresholds)
        self.owned = thresholds if index == 0 else None  # the first part owns them all

    def forward(self, base: Wrapped, *arguments: Any, **keywords: Any) -> Any:
        x = self.branch.input_of(arguments, keywords)

        def selected(h: Tensor) -> Tensor:
            update = self.branch.update(x, h)
            return h + self.gate(update, h)[..., None] * update

        return changed(base(*arguments, **keywords), selected)

    def gate(self, update: Tensor, h: Tensor) -> Tensor:
        """S, one number per token, in the precision of `update`."""
        with torch.no_grad():
            size = torch.linalg.vector_norm(update.float(), dim=-1)
            r = size / (torch.linalg.vector_norm(h.float(), dim=-1) + _EPSILON)
        tau = self.thresholds().values[self.index].float()
        learning = self.selection.learning and self.training
        window = self._window(r, tau.detach()) if learning else torch.zeros_like(r)
        cut = tau if learning else tau.detach()
        open_: Tensor = Gate.apply(r, cut, window)  # type: ignore[no-untyped-call]
        if learning or self.selection.counting:
            self._note(open_.detach(), window)
        return open_.to(update.dtype)

    @torch.no_grad()
    def _window(self, r: Tensor, tau: Tensor) -> Tensor:
        """``k((r - tau) / w) / w``, zero where there is padding."""
        kept = self._kept(r)
        width = r[kept].std(correction=0).clamp(min=_NARROWEST)
        return self.selection.kernel((r - tau) / width) / width * kept

    @torch.no_grad()
    def _note(self, open_: Tensor, window: Tensor) -> None:
        kept, notes, i = self._kept(open_), self.selection, self.index
        notes.windows[i] = notes.windows[i].to(window.device) + window.sum()
        notes.selected[i] = notes.selected[i].to(window.device) + open_[kept].sum()
        notes.tokens[i] = notes.tokens[i].to(window.device) + kept.sum()

    def _kept(self, r: Tensor) -> Tensor:
        if self.selection.is_token is None:
            return torch.ones_like(r, dtype=torch.bool)
        return self.selection.is_token.reshape(r.shape)  # OPT flattens rows


def select_tokens(parts: Mapping[str, Part], kernel: str) -> dict[str, Part]:
    """`parts` with token selection around every additive one."""
    places = [place for place, part in parts.items() if isinstance(part, Additive)]
    selection, thresholds = Selection(places, kernel), Thresholds(len(places))
    wrapped = dict(parts)
    for i, place in enumerate(places):
        branch = cast("Additive", parts[place])
        wrapped[place] = TokenSelective(branch, selection, i, thresholds)
    return wrapped
