"""HiRA: the low-rank update multiplies the frozen weight entry by entry."""

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
class Hira(LinearMethod):
    """Hadamard high-rank adaptation (Huang et al., 2025, ICLR, openreview:TwJrTz9cRS).

    Computes ``(W + W o (B A)) x`` with W: (d_out, d_in), frozen, A: (rank, d_in), random, and
    B: (d_out, rank), zero. The product entry by entry with W lifts the rank of the update.
    Trains ``rank * (d_in + d_out)`` parameters per layer.
    """

    rank: int = 32

    title: ClassVar[str] = "HiRA"
    tuner: ClassVar[str] = "HiraConfig"
    family: ClassVar[Family] = "reparameterised"
    paper: ClassVar[str] = "Huang et al., 2025, ICLR, openreview:TwJrTz9cRS"
    defaults_from: ClassVar[str] = "rank 32: Huang et al. and peft"
    identity_at_start: ClassVar[bool] = True
    mergeable: ClassVar[bool] = True
    budget_knob: ClassVar[str | None] = "rank"
    #: huggingface/peft, method_comparison/MetaMathQA, hira on Llama-3.2-3B: the update is as
    #: small as the weight.
    training: ClassVar[Mapping[str, Any]] = {"learning_rate": 4.5e-3}

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole(self.title, "rank", self.rank, "try 16 to 64")

    def layer_parameters(self, layer: Linear, shapes: Shapes) -> int:  # noqa: ARG002
        """See the class."""
        return self.rank * (layer.d_in + layer.d_out)

    def settings(self, shapes: Shapes) -> dict[str, Any]:  # noqa: ARG002
        """See `LinearMethod.settings`."""
        return {"r": self.rank}


METHOD = Hira
