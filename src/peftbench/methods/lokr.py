"""LoKr: the update is a Kronecker product of a small matrix and a low-rank one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from peftbench.methods._linear import NOT_LINEAR, LinearMethod, nearest_factors
from peftbench.methods._method import Family
from peftbench.methods._settings import check_whole

if TYPE_CHECKING:
    from peftbench.models._shapes import Linear, Shapes


@dataclass(frozen=True, kw_only=True)
class Lokr(LinearMethod):
    """Low-rank Kronecker products (Yeh et al., 2023, arXiv:2309.14859; KronA, arXiv:2212.10650).

    Computes ``W x + alpha / rank * (C kron (B A)) x`` with W: (d_out, d_in), frozen. Both
    widths are factorised as near to their square roots as can be, ``d_out = o1 o2`` and
    ``d_in = i1 i2`` with the smaller first; C: (o1, i1), B: (o2, rank), A: (rank, i2). Where
    rank is at least half of the larger of o2 and i2, B A is one matrix (o2, i2).
    Trains ``o1 i1 + rank (o2 + i2)``, or ``o1 i1 + o2 i2``, parameters per layer.
    """

    rank: int = 8
    alpha: int = 8

    title: ClassVar[str] = "LoKr"
    tuner: ClassVar[str] = "LoKrConfig"
    family: ClassVar[Family] = "reparameterised"
    paper: ClassVar[str] = "Yeh et al., 2023, arXiv:2309.14859"
    defaults_from: ClassVar[str] = "peft: rank 8, alpha 8"
    identity_at_start: ClassVar[bool] = True
    mergeable: ClassVar[bool] = True
    budget_knob: ClassVar[str | None] = "rank"
    unsupported: ClassVar[Mapping[str, str]] = NOT_LINEAR
    #: huggingface/peft, method_comparison/MetaMathQA, lokr on Llama-3.2-3B.
    training: ClassVar[Mapping[str, Any]] = {"learning_rate": 3e-3}

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole(self.title, "rank", self.rank, "try 4 to 64")
        check_whole(self.title, "alpha", self.alpha, "the rank, or less")

    def layer_parameters(self, layer: Linear, shapes: Shapes) -> int:  # noqa: ARG002
        """See the class."""
        out_small, out_large = nearest_factors(layer.d_out)
        in_small, in_large = nearest_factors(layer.d_in)
        if self.rank < max(out_large, in_large) / 2:
            return out_small * in_small + self.rank * (out_large + in_large)
        return out_small * in_small + out_large * in_large

    def settings(self, shapes: Shapes) -> dict[str, Any]:  # noqa: ARG002
        """See `LinearMethod.settings`."""
        return {"r": self.rank, "alpha": self.alpha}


METHOD = Lokr
