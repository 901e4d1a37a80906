"""SHiRA: a random sparse set of a weight's entries is trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from peftbench.methods._linear import NOT_LINEAR, LinearMethod
from peftbench.methods._settings import whole
from peftbench.models import Linear, Shapes


@dataclass(frozen=True, kw_only=True)
class Shira(LinearMethod):
    """Sparse high-rank adapters (Bhardwaj et al., 2024, arXiv:2406.13175).

    Computes ``(W + S) x`` with W: (d_out, d_in), frozen, and S: (d_out, d_in), zero but for
    ``rank * (d_in + d_out)`` entries at random places, as many as a LoRA of that rank has; they
    start at zero.
    Trains ``rank * (d_in + d_out)`` parameters per layer, rank at most what the smallest layer
    has room for. Saved are their places too, two numbers each.
    """

    rank: int = whole(32, hint="try 4 to 64")

    title = "SHiRA"
    tuner = "ShiraConfig"
    family = "selective"
    paper = "Bhardwaj et al., 2024, arXiv:2406.13175"
    defaults_from = "peft: rank 32, random places"
    identity_at_start = True
    mergeable = True
    budget_knob = "rank"
    unsupported = NOT_LINEAR
    #: huggingface/peft, method_comparison/MetaMathQA, shira on Llama-3.2-3B.
    training = {"learning_rate": 3e-4}

    def layer_parameters(self, layer: Linear, shapes: Shapes) -> int:
        return self.fitting_rank(shapes) * (layer.d_in + layer.d_out)

    def stored_parameters(self, shapes: Shapes) -> int:
        return 3 * self.trainable_parameters(shapes)

    def peft_fields(self, shapes: Shapes) -> dict[str, Any]:
        return super().peft_fields(shapes) | {"r": self.fitting_rank(shapes)}

    def fitting_rank(self, shapes: Shapes) -> int:
        """The rank, at most what every layer has entries for."""
        room = (x.d_in * x.d_out // (x.d_in + x.d_out) for x in self.layers(shapes))
        return min(self.rank, *room)


METHOD = Shira
