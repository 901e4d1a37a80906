"""LoHa: the update is the product, entry by entry, of two low-rank matrices."""

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
class Loha(LinearMethod):
    """Low-rank Hadamard products (Hyeon-Woo et al., 2021, arXiv:2108.06098).

    Computes ``W x + alpha / rank * (B1 A1) o (B2 A2) x`` with W: (d_out, d_in), frozen, A:
    (rank, d_in) and B: (d_out, rank), all random but one, which is zero. The rank of the update
    is up to rank^2.
    Trains ``2 * rank * (d_in + d_out)`` parameters per layer.
    """

    rank: int = 8
    alpha: int = 8

    title: ClassVar[str] = "LoHa"
    tuner: ClassVar[str] = "LoHaConfig"
    family: ClassVar[Family] = "reparameterised"
    paper: ClassVar[str] = "Hyeon-Woo et al., 2021, arXiv:2108.06098"
    defaults_from: ClassVar[str] = "peft: rank 8, alpha 8"
    identity_at_start: ClassVar[bool] = True
    mergeable: ClassVar[bool] = True
    budget_knob: ClassVar[str | None] = "rank"
    unsupported: ClassVar[Mapping[str, str]] = NOT_LINEAR
    #: huggingface/peft, method_comparison/MetaMathQA, loha on Llama-3.2-3B.
    training: ClassVar[Mapping[str, Any]] = {"learning_rate": 1e-4}

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole(self.title, "rank", self.rank, "try 4 to 64")
        check_whole(self.title, "alpha", self.alpha, "the rank, or less")

    def layer_parameters(self, layer: Linear, shapes: Shapes) -> int:  # noqa: ARG002
        """See the class."""
        return 2 * self.rank * (layer.d_in + layer.d_out)

    def settings(self, shapes: Shapes) -> dict[str, Any]:  # noqa: ARG002
        """See `LinearMethod.settings`."""
        return {"r": self.rank, "alpha": self.alpha}


METHOD = Loha
