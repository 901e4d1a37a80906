"""DEFT (decompositional): a subspace is projected out and filled anew."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from peftbench.methods._linear import LinearMethod
from peftbench.methods._method import Family
from peftbench.methods._settings import check_whole, one_of

if TYPE_CHECKING:
    from peftbench.models._shapes import Linear, Shapes


@dataclass(frozen=True, kw_only=True)
class Deft(LinearMethod):
    """Decompositional fine-tuning (the `deft` of huggingface/peft, 2026, after PaRa, Chen et
    al., 2024).

    Computes ``(I - P relu(P)^T) W x + P R x`` with W: (d_out, d_in), frozen, P: (d_out, rank),
    random, and R: (rank, d_in): what lies in P's directions is taken away, and R put in its
    place; R starts so that nothing changes. With decomposition "qr", P is made orthonormal and
    stands in relu's place. Not the density loss of the same name (arXiv:2402.01911).
    Trains ``rank * (d_in + d_out)`` parameters per layer, rank at most d_out.
    """

    rank: int = 8
    decomposition: Literal["relu", "qr"] = "relu"

    title: ClassVar[str] = "DEFT"
    tuner: ClassVar[str] = "DeftConfig"
    family: ClassVar[Family] = "reparameterised"
    paper: ClassVar[str] = "DEFT of huggingface/peft, 2026"
    defaults_from: ClassVar[str] = "peft: rank 8, projection by a rectified product"
    identity_at_start: ClassVar[bool] = True
    mergeable: ClassVar[bool] = True
    budget_knob: ClassVar[str | None] = "rank"
    #: huggingface/peft, method_comparison/MetaMathQA, deft on Llama-3.2-3B.
    training: ClassVar[Mapping[str, Any]] = {"learning_rate": 1e-4}

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole(self.title, "rank", self.rank, "try 4 to 64")
        one_of(self.title, "decomposition", self.decomposition, ("relu", "qr"))

    def layer_parameters(self, layer: Linear, shapes: Shapes) -> int:  # noqa: ARG002
        """See the class."""
        return min(self.rank, layer.d_out) * (layer.d_in + layer.d_out)

    def settings(self, shapes: Shapes) -> dict[str, Any]:  # noqa: ARG002
        """See `LinearMethod.settings`."""
        return {"r": self.rank, "decomposition_method": self.decomposition}


METHOD = Deft
