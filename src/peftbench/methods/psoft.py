"""PSOFT: a weight is rotated inside its principal subspace."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from peftbench.methods._linear import NOT_LINEAR, LinearMethod
from peftbench.methods._method import Family
from peftbench.methods._settings import check_whole

if TYPE_CHECKING:
    from peftbench.models._shapes import Linear, Shapes


@dataclass(frozen=True, kw_only=True)
class Psoft(LinearMethod):
    """Orthogonal tuning of the principal subspace (Wu et al., 2026, openreview:FSHrinMArK).

    Computes ``W x + alpha / rank * B (diag(b) R diag(a) - I) A x`` with W: (d_out, d_in), A:
    (rank, d_in) and B: (d_out, rank) frozen, the last two its leading singular directions; R:
    (rank, rank), orthogonal, by the Cayley transform; a, b: (rank,). R starts as the identity,
    a and b as one.
    Trains ``rank * (rank - 1) / 2 + 2 * rank`` parameters per layer, rank at most the smallest
    width.
    """

    rank: int = 32
    alpha: int = 32

    title: ClassVar[str] = "PSOFT"
    tuner: ClassVar[str] = "PsoftConfig"
    family: ClassVar[Family] = "reparameterised"
    paper: ClassVar[str] = "Wu et al., 2026, ICLR, openreview:FSHrinMArK"
    defaults_from: ClassVar[str] = "peft: rank 32, alpha 32"
    identity_at_start: ClassVar[bool] = True
    mergeable: ClassVar[bool] = True
    budget_knob: ClassVar[str | None] = "rank"
    unsupported: ClassVar[Mapping[str, str]] = NOT_LINEAR
    #: huggingface/peft, method_comparison/MetaMathQA, psoft on Llama-3.2-3B.
    training: ClassVar[Mapping[str, Any]] = {"learning_rate": 1e-4}

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole(self.title, "rank", self.rank, "try 32 to 256")
        check_whole(self.title, "alpha", self.alpha, "the rank is common")

    def layer_parameters(self, layer: Linear, shapes: Shapes) -> int:  # noqa: ARG002
        """See the class."""
        rank = min(self.rank, self.narrowest(shapes))
        return rank * (rank - 1) // 2 + 2 * rank

    def settings(self, shapes: Shapes) -> dict[str, Any]:
        """See `LinearMethod.settings`."""
        return {"r": min(self.rank, self.narrowest(shapes)), "psoft_alpha": self.alpha}


METHOD = Psoft
