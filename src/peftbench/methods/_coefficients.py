"""What FourierFT and WaveFT share: an update that is the transform of a few coefficients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from peftbench.methods._linear import LinearMethod
from peftbench.methods._method import Family
from peftbench.methods._settings import check_whole, positive

if TYPE_CHECKING:
    from peftbench.models._shapes import Linear, Shapes


@dataclass(frozen=True, kw_only=True)
class CoefficientsMethod(LinearMethod):
    """``num_frequencies`` trained coefficients per layer, at most as many as the smallest
    weight has entries; the rest of a layer's spectrum is zero."""

    num_frequencies: int
    scaling: float

    family: ClassVar[Family] = "reparameterised"
    mergeable: ClassVar[bool] = True
    budget_knob: ClassVar[str | None] = "num_frequencies"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole(self.title, "num_frequencies", self.num_frequencies, "try 200 to 5000")
        scaling = positive(self.title, "scaling", self.scaling, "try 10 to 300")
        object.__setattr__(self, "scaling", scaling)

    def trainable_parameters(self, shapes: Shapes) -> int:
        """As many coefficients for every layer."""
        return len(self.layers(shapes)) * self.coefficients(shapes)

    def layer_parameters(self, layer: Linear, shapes: Shapes) -> int:  # noqa: ARG002
        """The same for all layers."""
        return self.coefficients(shapes)

    def settings(self, shapes: Shapes) -> dict[str, Any]:
        """See `LinearMethod.settings`."""
        return {"n_frequency": self.coefficients(shapes), "scaling": self.scaling}

    def coefficients(self, shapes: Shapes) -> int:
        """Of one layer: no layer can have more than the smallest has entries."""
        smallest = min(layer.d_in * layer.d_out for layer in self.layers(shapes))
        return min(self.num_frequencies, smallest)
