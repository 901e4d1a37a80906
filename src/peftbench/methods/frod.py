"""FRoD: scales and sparse rotations in a basis that layers share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from peftbench.methods._linear import LinearMethod
from peftbench.methods._method import Family
from peftbench.methods._settings import fraction

if TYPE_CHECKING:
    from peftbench.models._shapes import Linear, Shapes


@dataclass(frozen=True, kw_only=True)
class Frod(LinearMethod):
    """Full-rank updates in a shared basis (FRoD, 2026, AAAI, doi:10.1609/aaai.v40i31.39813).

    The weights of one kind (all q_proj, say) are decomposed together,
    ``W_k = U_k diag(l_k) V^T`` with one V: (d_in, d_in) for all. Computes
    ``U_k (diag(l_k) + S_k) V^T x`` with l_k: (d_in,) and the entries of the sparse S_k: (d_in,
    d_in) trained; S_k starts at zero. U and V are computed anew from the base when an adapter
    is loaded.
    Trains ``d_in + floor(sparse_rate * d_in^2)`` parameters per layer, one entry at least.
    """

    sparse_rate: float = 0.01

    title: ClassVar[str] = "FRoD"
    tuner: ClassVar[str] = "FrodConfig"
    family: ClassVar[Family] = "reparameterised"
    paper: ClassVar[str] = "FRoD, 2026, AAAI, doi:10.1609/aaai.v40i31.39813"
    defaults_from: ClassVar[str] = "peft: 1 % of the entries off the diagonal"
    identity_at_start: ClassVar[bool] = True
    mergeable: ClassVar[bool] = True
    budget_knob: ClassVar[str | None] = None
    #: huggingface/peft, method_comparison/MetaMathQA, frod on Llama-3.2-3B.
    training: ClassVar[Mapping[str, Any]] = {"learning_rate": 1e-3}

    def __post_init__(self) -> None:
        super().__post_init__()
        sparse_rate = fraction(self.title, "sparse_rate", self.sparse_rate)
        object.__setattr__(self, "sparse_rate", sparse_rate)

    def layer_parameters(self, layer: Linear, shapes: Shapes) -> int:  # noqa: ARG002
        """See the class."""
        return layer.d_in + max(1, int(layer.d_in * layer.d_in * self.sparse_rate))

    def settings(self, shapes: Shapes) -> dict[str, Any]:  # noqa: ARG002
        """See `LinearMethod.settings`."""
        return {
            "sparse_rate": self.sparse_rate,
            "save_projection": False,
            "progressbar": False,
        }


METHOD = Frod
