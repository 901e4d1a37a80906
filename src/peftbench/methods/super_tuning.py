"""Super-Tuning: the largest entries of a weight are trained."""

from __future__ import annotations

from dataclasses import dataclass

from peftbench.methods._linear import NOT_LINEAR, LinearMethod
from peftbench.methods._settings import fraction
from peftbench.models import Linear, Shapes


@dataclass(frozen=True, kw_only=True)
class SuperTuning(LinearMethod):
    """Weights of the largest magnitude (Super-Tuning, 2026, arXiv:2607.09287).

    Computes ``(W + S) x`` with W: (d_out, d_in), frozen, and S: (d_out, d_in), zero but where
    |W| is among the largest ``1 - sparsity`` of its entries; those start at zero and are
    trained.
    Trains ``floor((1 - sparsity) * d_in * d_out)`` parameters per layer. Saved are their places
    too.
    """

    sparsity: float = fraction(0.99, peft="sparsity")

    title = "Super-Tuning"
    tuner = "SupertuningConfig"
    family = "selective"
    paper = "Super-Tuning, 2026, arXiv:2607.09287"
    defaults_from = "sparsity 0.99, magnitude: peft and the paper's best setting"
    identity_at_start = True
    mergeable = True
    budget_knob = None
    unsupported = NOT_LINEAR
    #: That of SHiRA, which trains single entries too.
    training = {"learning_rate": 3e-4}

    def layer_parameters(self, layer: Linear, shapes: Shapes) -> int:
        return int(layer.d_in * layer.d_out * (1 - self.sparsity))

    def stored_parameters(self, shapes: Shapes) -> int:
        return 2 * self.trainable_parameters(shapes)


METHOD = SuperTuning
