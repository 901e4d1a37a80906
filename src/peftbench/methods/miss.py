"""MiSS: one small matrix is shared by the shards of a weight."""

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
class Miss(LinearMethod):
    """Matrix shard sharing (Kang and Yin, 2024, arXiv:2409.15371).

    Computes ``W x + D^T (sum of the shards of x)`` with W: (d_out, d_in), frozen, x: (d_in,)
    folded into rank numbers by adding up its shards, and D: (rank, d_out), zero at the start:
    one factor in place of LoRA's two.
    Trains ``rank * d_out`` parameters per layer; rank at most the smallest input.
    """

    rank: int = 64

    title: ClassVar[str] = "MiSS"
    tuner: ClassVar[str] = "MissConfig"
    family: ClassVar[Family] = "reparameterised"
    paper: ClassVar[str] = "Kang and Yin, 2024, arXiv:2409.15371"
    defaults_from: ClassVar[str] = "peft: rank 64"
    identity_at_start: ClassVar[bool] = True
    mergeable: ClassVar[bool] = True
    budget_knob: ClassVar[str | None] = "rank"
    unsupported: ClassVar[Mapping[str, str]] = NOT_LINEAR
    #: huggingface/peft, method_comparison/MetaMathQA, miss on Llama-3.2-3B.
    training: ClassVar[Mapping[str, Any]] = {"learning_rate": 1e-4}

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole(self.title, "rank", self.rank, "try 16 to 128")

    def layer_parameters(self, layer: Linear, shapes: Shapes) -> int:
        """See the class."""
        return self.fitting_rank(shapes) * layer.d_out

    def settings(self, shapes: Shapes) -> dict[str, Any]:
        """See `LinearMethod.settings`."""
        return {"r": self.fitting_rank(shapes)}

    def fitting_rank(self, shapes: Shapes) -> int:
        """The rank, at most the smallest input."""
        return min(self.rank, *(layer.d_in for layer in self.layers(shapes)))


METHOD = Miss
