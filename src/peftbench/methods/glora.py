"""GLoRA: low-rank changes that add to weights and multiply them."""

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
class Glora(LinearMethod):
    """Generalised low-rank adaptation (Chavan et al., 2023, arXiv:2306.07967).

    Computes ``(W + W o A + B) x + b + b o D + E + W C`` with W: (d_out, d_in) and b: (d_out,)
    frozen, A and B: (d_out, d_in) of rank `rank` each; where there is a bias b, C: (d_in,) as a
    product over `rank`, and D and E numbers. All start at zero.
    Trains ``2 * rank * (d_in + d_out)`` parameters per layer, with a bias
    ``rank * (d_in + 1) + 2`` more. Saved are zeros, too, for the parts that a layer lacks: d_in
    + 2 d_out of a layer without a bias.
    """

    rank: int = 8

    title: ClassVar[str] = "GLoRA"
    tuner: ClassVar[str] = "GloraConfig"
    family: ClassVar[Family] = "reparameterised"
    paper: ClassVar[str] = "Chavan et al., 2023, arXiv:2306.07967"
    defaults_from: ClassVar[str] = (
        "peft: rank 8, low-rank A, B and C, constant D and E; the paper searches the kind of "
        "each"
    )
    identity_at_start: ClassVar[bool] = True
    mergeable: ClassVar[bool] = True
    budget_knob: ClassVar[str | None] = "rank"
    unsupported: ClassVar[Mapping[str, str]] = NOT_LINEAR
    #: huggingface/peft, method_comparison/MetaMathQA, glora on Llama-3.2-3B.
    training: ClassVar[Mapping[str, Any]] = {"learning_rate": 1e-4}

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole(self.title, "rank", self.rank, "try 4 to 64")

    def layer_parameters(self, layer: Linear, shapes: Shapes) -> int:  # noqa: ARG002
        """See the class."""
        with_bias = self.rank * (layer.d_in + 1) + 2
        return 2 * self.rank * (layer.d_in + layer.d_out) + layer.has_bias * with_bias

    def stored_parameters(self, shapes: Shapes) -> int:
        """See the class."""
        zeros = sum(x.d_in + 2 * x.d_out for x in self.layers(shapes) if not x.has_bias)
        return self.trainable_parameters(shapes) + zeros

    def settings(self, shapes: Shapes) -> dict[str, Any]:  # noqa: ARG002
        """See `LinearMethod.settings`."""
        return {"r": self.rank}


METHOD = Glora
