"""DeLoRA: low-rank updates whose strength and direction are trained apart."""

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
class Delora(LinearMethod):
    """Updates of bounded strength (Bini et al., 2025, arXiv:2503.18225).

    Computes ``W x + lambda / rank * ||W|| * B N A x`` with W: (d_out, d_in), frozen, ||W|| its
    column norms, A: (rank, d_in), B: (d_out, rank), N: (rank, rank), the diagonal matrix that
    normalises each rank-one part, and lambda, one trained number; the start is subtracted
    again.
    Trains ``rank * (d_in + d_out) + 1`` parameters per layer. Saved are the d_in norms too.
    """

    rank: int = 8
    strength: int = 15

    title: ClassVar[str] = "DeLoRA"
    tuner: ClassVar[str] = "DeloraConfig"
    family: ClassVar[Family] = "reparameterised"
    paper: ClassVar[str] = "Bini et al., 2025, arXiv:2503.18225"
    defaults_from: ClassVar[str] = "rank and lambda: peft"
    identity_at_start: ClassVar[bool] = True
    mergeable: ClassVar[bool] = True
    budget_knob: ClassVar[str | None] = "rank"
    unsupported: ClassVar[Mapping[str, str]] = NOT_LINEAR
    #: Bini et al., section 4: 1e-3 and above; peft's comparison trains lambda and factors at
    #: 1e-4.
    training: ClassVar[Mapping[str, Any]] = {"learning_rate": 1e-3}

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole(self.title, "rank", self.rank, "try 4 to 64")
        check_whole(self.title, "strength", self.strength, "try 4 to 32")

    def layer_parameters(self, layer: Linear, shapes: Shapes) -> int:  # noqa: ARG002
        """See the class."""
        return self.rank * (layer.d_in + layer.d_out) + 1

    def stored_parameters(self, shapes: Shapes) -> int:
        """See the class."""
        return self.trainable_parameters(shapes) + sum(x.d_in for x in self.layers(shapes))

    def settings(self, shapes: Shapes) -> dict[str, Any]:  # noqa: ARG002
        """See `LinearMethod.settings`."""
        return {"r": self.rank, "delora_lambda": self.strength}


METHOD = Delora
