"""SHiRA: a random sparse set of a weight's entries is trained."""

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
class Shira(LinearMethod):
    """Sparse high-rank adapters (Bhardwaj et al., 2024, arXiv:2406.13175).

    Computes ``(W + S) x`` with W: (d_out, d_in), frozen, and S: (d_out, d_in), zero but for
    ``rank * (d_in + d_out)`` entries at random places, as many as a LoRA of that rank has; they
    start at zero.
    Trains ``rank * (d_in + d_out)`` parameters per layer, rank at most what the smallest layer
    has room for. Saved are their places too, two numbers each.
    """

    rank: int = 32

    title: ClassVar[str] = "SHiRA"
    tuner: ClassVar[str] = "ShiraConfig"
    family: ClassVar[Family] = "selective"
    paper: ClassVar[str] = "Bhardwaj et al., 2024, arXiv:2406.13175"
    defaults_from: ClassVar[str] = "peft: rank 32, random places"
    identity_at_start: ClassVar[bool] = True
    mergeable: ClassVar[bool] = True
    budget_knob: ClassVar[str | None] = "rank"
    unsupported: ClassVar[Mapping[str, str]] = NOT_LINEAR
    #: huggingface/peft, method_comparison/MetaMathQA, shira on Llama-3.2-3B.
    training: ClassVar[Mapping[str, Any]] = {"learning_rate": 3e-4}

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole(self.title, "rank", self.rank, "try 4 to 64")

    def layer_parameters(self, layer: Linear, shapes: Shapes) -> int:
        """See the class."""
        return self.fitting_rank(shapes) * (layer.d_in + layer.d_out)

    def stored_parameters(self, shapes: Shapes) -> int:
        """See the class."""
        return 3 * self.trainable_parameters(shapes)

    def settings(self, shapes: Shapes) -> dict[str, Any]:
        """See `LinearMethod.settings`."""
        return {"r": self.fitting_rank(shapes)}

    def fitting_rank(self, shapes: Shapes) -> int:
        """The rank, at most what every layer has entries for."""
        room = (x.d_in * x.d_out // (x.d_in + x.d_out) for x in self.layers(shapes))
        return min(self.rank, *room)


METHOD = Shira
