"""Uni-LoRA: all factors of all LoRA layers are drawn from one trained vector."""

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
class Unilora(LinearMethod):
    """One vector for all layers (Li et al., 2025, arXiv:2506.00799).

    Computes ``W x + B A x`` with W: (d_out, d_in), frozen, A: (rank, d_in), B: (d_out, rank).
    Every entry of every A and B is one of the numbers of theta: (length,), at a random place
    that is fixed by a seed, divided by the root of how many entries it fills: an isometric
    projection.
    Trains ``length`` parameters, however many layers there are.
    """

    length: int = 23040
    rank: int = 4

    title: ClassVar[str] = "Uni-LoRA"
    tuner: ClassVar[str] = "UniLoraConfig"
    family: ClassVar[Family] = "reparameterised"
    paper: ClassVar[str] = "Li et al., 2025, arXiv:2506.00799"
    defaults_from: ClassVar[str] = "rank 4: peft; length 23040: Li et al."
    identity_at_start: ClassVar[bool] = False  # both factors start at random
    mergeable: ClassVar[bool] = True
    budget_knob: ClassVar[str | None] = "length"
    #: huggingface/peft, method_comparison/MetaMathQA, unilora on Llama-3.2-3B.
    training: ClassVar[Mapping[str, Any]] = {"learning_rate": 2e-3}

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole(self.title, "length", self.length, "try 256 to 524288")
        check_whole(self.title, "rank", self.rank, "try 4 to 8")

    def layer_parameters(self, layer: Linear, shapes: Shapes) -> int:  # noqa: ARG002
        """See the class."""
        return 0  # they are all shared

    def trainable_parameters(self, shapes: Shapes) -> int:
        """See the class."""
        self.layers(shapes)
        return self.length

    def settings(self, shapes: Shapes) -> dict[str, Any]:  # noqa: ARG002
        """See `LinearMethod.settings`."""
        return {"theta_d_length": self.length, "r": self.rank}


METHOD = Unilora
