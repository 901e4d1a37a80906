"""TinyLoRA: a handful of trained numbers per layer, in the weight's own directions."""

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
class Tinylora(LinearMethod):
    """A few numbers per layer (TinyLoRA, 2026, arXiv:2602.04118).

    Computes ``W x + B (sum_i v_i P_i) A x`` with W: (d_out, d_in), A: (rank, d_in) and B:
    (d_out, rank) frozen, the last two its leading singular directions, P_i: (rank, rank),
    frozen and random, and v: (num_numbers,), trained, zero at the start.
    Trains ``num_numbers`` parameters per layer. P is drawn anew from its seed when an adapter
    is loaded; A and B are saved with it, ``rank * (d_in + d_out)`` numbers per layer.
    """

    num_numbers: int = 64
    rank: int = 2

    title: ClassVar[str] = "TinyLoRA"
    tuner: ClassVar[str] = "TinyLoraConfig"
    family: ClassVar[Family] = "reparameterised"
    paper: ClassVar[str] = "TinyLoRA, 2026, arXiv:2602.04118"
    defaults_from: ClassVar[str] = "peft: rank 2, 64 numbers, no sharing between layers"
    identity_at_start: ClassVar[bool] = True
    mergeable: ClassVar[bool] = True
    budget_knob: ClassVar[str | None] = "num_numbers"
    #: Ours: few numbers want larger steps than LoRA's; peft's comparison uses 1e-4.
    training: ClassVar[Mapping[str, Any]] = {"learning_rate": 1e-3}

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole(self.title, "num_numbers", self.num_numbers, "try 13 to 512")
        check_whole(self.title, "rank", self.rank, "try 1 to 4")

    def layer_parameters(self, layer: Linear, shapes: Shapes) -> int:  # noqa: ARG002
        """See the class."""
        return self.num_numbers

    def stored_parameters(self, shapes: Shapes) -> int:
        """See the class."""
        bases = sum(self.rank * (layer.d_in + layer.d_out) for layer in self.layers(shapes))
        return self.trainable_parameters(shapes) + bases

    def settings(self, shapes: Shapes) -> dict[str, Any]:  # noqa: ARG002
        """See `LinearMethod.settings`."""
        return {"r": self.rank, "u": self.num_numbers, "save_projection": False}


METHOD = Tinylora
