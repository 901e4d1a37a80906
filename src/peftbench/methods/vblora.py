"""VB-LoRA: LoRA's factors are mixtures of vectors from one shared bank."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from peftbench.methods._linear import LinearMethod, largest_divisor
from peftbench.methods._method import Family
from peftbench.methods._settings import check_whole

if TYPE_CHECKING:
    from peftbench.models._shapes import Linear, Shapes


@dataclass(frozen=True, kw_only=True)
class Vblora(LinearMethod):
    """A vector bank for all layers (Li et al., 2024, arXiv:2405.15179).

    Computes ``W x + B A x`` with W: (d_out, d_in), frozen, A: (rank, d_in) and B: (d_out, rank)
    cut into pieces of length b. Each piece is a mixture of the two vectors of the bank:
    (num_vectors, b) that its logits: (num_vectors,) choose, by their softmax.
    Trains ``num_vectors * b`` for the bank and ``rank * num_vectors * (d_in + d_out) / b`` per
    layer, where b is vector_length or the next smaller length that divides all widths.
    """

    rank: int = 4
    num_vectors: int = 256
    vector_length: int = 256

    title: ClassVar[str] = "VB-LoRA"
    tuner: ClassVar[str] = "VBLoRAConfig"
    family: ClassVar[Family] = "reparameterised"
    paper: ClassVar[str] = "Li et al., 2024, arXiv:2405.15179"
    defaults_from: ClassVar[str] = "peft: rank 4, 256 vectors of 256, top 2; uniform bank"
    identity_at_start: ClassVar[bool] = False  # the bank starts at random
    mergeable: ClassVar[bool] = True
    zeros_will_do: ClassVar[bool] = True
    budget_knob: ClassVar[str | None] = "rank"
    #: Li et al.: 1e-3 for the bank; their 1e-2 for the logits is not kept apart here.
    training: ClassVar[Mapping[str, Any]] = {"learning_rate": 1e-3}

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole(self.title, "rank", self.rank, "try 4 to 8")
        check_whole(self.title, "num_vectors", self.num_vectors, "try 30 to 2048")
        check_whole(self.title, "vector_length", self.vector_length, "try 64 to 256")

    def layer_parameters(self, layer: Linear, shapes: Shapes) -> int:
        """See the class."""
        pieces = (layer.d_in + layer.d_out) // self.length(shapes)
        return self.rank * self.num_vectors * pieces

    def trainable_parameters(self, shapes: Shapes) -> int:
        """See the class."""
        return super().trainable_parameters(shapes) + self.num_vectors * self.length(shapes)

    def settings(self, shapes: Shapes) -> dict[str, Any]:
        """See `LinearMethod.settings`."""
        return {
            "r": self.rank,
            "num_vectors": self.num_vectors,
            "vector_length": self.length(shapes),
        }

    def length(self, shapes: Shapes) -> int:
        """The length of a vector, dividing all widths."""
        widths = [width for x in self.layers(shapes) for width in (x.d_in, x.d_out)]
        return largest_divisor(widths, self.vector_length)


METHOD = Vblora
