"""What FourierFT and WaveFT share: an update that is the transform of a few coefficients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from peftbench.methods._linear import LinearMethod
from peftbench.methods._settings import positive, whole
from peftbench.models import Linear, Shapes


@dataclass(frozen=True, kw_only=True)
class CoefficientsMethod(LinearMethod):
    """``num_frequencies`` trained coefficients per layer, at most as many as the smallest
    weight has entries; the rest of a layer's spectrum is zero."""

    num_frequencies: int = whole(1000, hint="try 200 to 5000")
    scaling: float = positive(150.0, peft="scaling", hint="try 10 to 300")

    family = "reparameterised"
    mergeable = True
    budget_knob = "num_frequencies"

    def trainable_parameters(self, shapes: Shapes) -> int:
        """As many coefficients for every layer."""
        return len(self.layers(shapes)) * self.coefficients(shapes)

    def layer_parameters(self, layer: Linear, shapes: Shapes) -> int:
        """The same for all layers."""
        return self.coefficients(shapes)

    def peft_fields(self, shapes: Shapes) -> dict[str, Any]:
        return super().peft_fields(shapes) | {"n_frequency": self.coefficients(shapes)}

    def coefficients(self, shapes: Shapes) -> int:
        """Of one layer: no layer can have more than the smallest has entries."""
        smallest = min(layer.d_in * layer.d_out for layer in self.layers(shapes))
        return min(self.num_frequencies, smallest)
