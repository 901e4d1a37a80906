"""RandLoRA: a full-rank update as a trained sum of random low-rank ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from peftbench.methods._linear import LinearMethod
from peftbench.methods._method import Family
from peftbench.methods._settings import check_whole

if TYPE_CHECKING:
    from peftbench.models._shapes import Linear, Shapes


@dataclass(frozen=True, kw_only=True)
class Randlora(LinearMethod):
    """Full rank from random bases (Albert et al., 2025, arXiv:2502.00987).

    Computes ``W x + alpha / rank * sum_j B_j diag(l_j) A_j diag(g_j) x`` with W: (d_out, d_in),
    frozen, and n = ceil(m / rank) pairs A_j, B_j of rank `rank`, frozen, random and shared by
    all layers, with m = min(d_in, d_out); l_j: (rank,), g_j: (m,). l starts at random or zero
    so that the update is zero.
    Trains ``n * (rank + m)`` parameters per layer. The bases are drawn anew from their seed
    when an adapter is loaded.
    """

    rank: int = 32
    alpha: int = 640

    title: ClassVar[str] = "RandLoRA"
    tuner: ClassVar[str] = "RandLoraConfig"
    family: ClassVar[Family] = "reparameterised"
    paper: ClassVar[str] = "Albert et al., 2025, arXiv:2502.00987"
    defaults_from: ClassVar[str] = "peft: rank 32, alpha 640"
    identity_at_start: ClassVar[bool] = True
    mergeable: ClassVar[bool] = True
    budget_knob: ClassVar[str | None] = "rank"
    #: huggingface/peft, method_comparison/MetaMathQA, randlora on Llama-3.2-3B; the scale
    #: alpha / rank of 20 makes up for it.
    training: ClassVar[Mapping[str, Any]] = {"learning_rate": 1e-4}

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole(self.title, "rank", self.rank, "try 8 to 64; more is fewer parameters")
        check_whole(self.title, "alpha", self.alpha, "try 20 times the rank")

    def layer_parameters(self, layer: Linear, shapes: Shapes) -> int:  # noqa: ARG002
        """See the class."""
        directions = min(layer.d_in, layer.d_out)
        bases = -(-directions // self.rank)
        return bases * (self.rank + directions)

    def settings(self, shapes: Shapes) -> dict[str, Any]:  # noqa: ARG002
        """See `LinearMethod.settings`."""
        return {"r": self.rank, "randlora_alpha": self.alpha, "save_projection": False}


METHOD = Randlora
