"""VeRA: two frozen random matrices for all layers, and trained scales."""

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
class Vera(LinearMethod):
    """Vector-based random matrix adaptation (Kopiczko et al., 2023, arXiv:2310.11454).

    Computes ``W x + diag(b) B diag(d) A x`` with W: (d_out, d_in), A: (rank, widest d_in) and
    B: (widest d_out, rank) frozen, the last two random, shared by all layers and cut to size;
    d: (rank,) starts at 0.1, b: (d_out,) at zero.
    Trains ``rank + d_out`` parameters per layer. A and B are drawn anew from their seed when an
    adapter is loaded.
    """

    rank: int = 256

    title: ClassVar[str] = "VeRA"
    tuner: ClassVar[str] = "VeraConfig"
    family: ClassVar[Family] = "reparameterised"
    paper: ClassVar[str] = "Kopiczko et al., 2023, arXiv:2310.11454"
    defaults_from: ClassVar[str] = "rank 256 and d = 0.1: Kopiczko et al., Llama 7B"
    identity_at_start: ClassVar[bool] = True
    mergeable: ClassVar[bool] = True
    budget_knob: ClassVar[str | None] = "rank"
    #: Kopiczko et al., instruction tuning of Llama 7B.
    training: ClassVar[Mapping[str, Any]] = {"learning_rate": 4e-3}

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole(self.title, "rank", self.rank, "try 64 to 1024")

    def layer_parameters(self, layer: Linear, shapes: Shapes) -> int:  # noqa: ARG002
        """See the class."""
        return self.rank + layer.d_out

    def settings(self, shapes: Shapes) -> dict[str, Any]:  # noqa: ARG002
        """See `LinearMethod.settings`."""
        return {"r": self.rank, "save_projection": False}


METHOD = Vera
