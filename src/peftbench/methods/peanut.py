"""PEANuT: a small network computes the update from the frozen weight."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from peftbench.methods._linear import NOT_LINEAR, LinearMethod
from peftbench.methods._method import Family
from peftbench.methods._settings import check_whole, positive

if TYPE_CHECKING:
    from peftbench.models._shapes import Linear, Shapes


@dataclass(frozen=True, kw_only=True)
class Peanut(LinearMethod):
    """Weight-aware neural tweakers (Zhong et al., 2024, arXiv:2410.01870).

    Computes ``(W + scaling * B f(A W)) x``: a network reads the frozen W: (d_out, d_in) column
    by column, A: (rank, d_out), random, f a rectifier with `depth` pairs of hidden layers
    (rank, rank), B: (d_out, rank), zero.
    Trains ``2 * rank * d_out + 2 * depth * rank^2`` parameters per layer.
    """

    rank: int = 32
    depth: int = 0
    scaling: float = 2.0

    title: ClassVar[str] = "PEANuT"
    tuner: ClassVar[str] = "PeanutConfig"
    family: ClassVar[Family] = "reparameterised"
    paper: ClassVar[str] = "Zhong et al., 2024, arXiv:2410.01870"
    defaults_from: ClassVar[str] = (
        "rank 32, depth 0: peft; scaling 2: huggingface/peft, method_comparison/MetaMathQA"
    )
    identity_at_start: ClassVar[bool] = True
    mergeable: ClassVar[bool] = True
    budget_knob: ClassVar[str | None] = "rank"
    unsupported: ClassVar[Mapping[str, str]] = NOT_LINEAR
    #: huggingface/peft, method_comparison/MetaMathQA, peanut on Llama-3.2-3B.
    training: ClassVar[Mapping[str, Any]] = {"learning_rate": 1e-4}

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole(self.title, "rank", self.rank, "try 8 to 64")
        if self.depth != 0:
            check_whole(self.title, "depth", self.depth, "0 means no hidden layers")
        scaling = positive(self.title, "scaling", self.scaling, "try 1 to 32")
        object.__setattr__(self, "scaling", scaling)

    def layer_parameters(self, layer: Linear, shapes: Shapes) -> int:  # noqa: ARG002
        """See the class."""
        return 2 * self.rank * layer.d_out + 2 * self.depth * self.rank**2

    def settings(self, shapes: Shapes) -> dict[str, Any]:  # noqa: ARG002
        """See `LinearMethod.settings`."""
        return {"r": self.rank, "depth": self.depth, "scaling": self.scaling}


METHOD = Peanut
