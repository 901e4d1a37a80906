"""SSF: what linear layers return is scaled and shifted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from peftbench.methods._native.method import NativeMethod
from peftbench.methods._settings import linear_layers, targeted
from peftbench.models import Shapes

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from peftbench.methods._native.part import Part


@dataclass(frozen=True, kw_only=True)
class Ssf(NativeMethod):
    """Scaling and shifting of features (Lian et al., 2022, arXiv:2210.08823).

    Computes ``g * (W x + b0) + b`` with W: (d_out, d_in) and b0, the base's own, frozen;
    g: (d_out,), one at the start; b: (d_out,), zero at the start: the means of the paper's
    random initial values. Folds into W and b0.
    Trains ``2 * d_out`` parameters per layer.

    The paper puts one pair after every operation. Here it is every linear layer: a shift
    after Llama's RMSNorm could not be folded, as that has no bias.
    """

    target_modules: str | tuple[str, ...] = linear_layers()

    title = "SSF"
    family = "reparameterised"
    placement = "linear layers of the blocks"
    paper = "Lian et al., 2022, arXiv:2210.08823"
    defaults_from = "Lian et al.: every linear layer"
    identity_at_start = True
    mergeable = True
    budget_knob = None
    #: Lian et al., on FGVC and VTAB: between 1e-3 and 1e-2.
    training = {"learning_rate": 1e-3}

    def trainable_parameters(self, shapes: Shapes) -> int:
        return sum(
            2 * layer.d_out for layer in targeted(self.title, shapes, self.target_modules)
        )

    def parts(self, model: PreTrainedModel, found: Mapping[str, Any]) -> Mapping[str, Part]:
        from peftbench.methods._native import linear
        from peftbench.methods._native.places import Places
        from peftbench.methods._native.vectors import ScaleShift

        layers = Places.of(model).linears(self.target_modules)
        return {name: ScaleShift(linear.size_of(m)[0]) for name, m in layers.items()}


METHOD = Ssf
