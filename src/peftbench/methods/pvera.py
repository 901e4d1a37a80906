"""PVeRA: VeRA with scales that are drawn, not fixed."""

from __future__ import annotations

from dataclasses import dataclass

from peftbench.methods._linear import LinearMethod
from peftbench.methods._settings import whole
from peftbench.models import Linear, Shapes


@dataclass(frozen=True, kw_only=True)
class Pvera(LinearMethod):
    """Probabilistic VeRA (Fillioux et al., 2025, arXiv:2512.07703).

    Computes ``W x + diag(b) B z(A x)`` with W, A and B frozen, as in VeRA, and z: (rank,) drawn
    in training from a normal distribution whose mean and variance are d-scaled parts of A x: (2
    * rank,); in evaluation z is the mean. d: (2 * rank,), b: (d_out,), zero at the start.
    Trains ``2 * rank + d_out`` parameters per layer.
    """

    rank: int = whole(256, peft="r", hint="try 64 to 1024")

    title = "PVeRA"
    tuner = "PveraConfig"
    fixed = {"save_projection": False}
    family = "reparameterised"
    paper = "Fillioux et al., 2025, arXiv:2512.07703"
    defaults_from = "peft: rank 256, d = 0.1, the mean in evaluation"
    identity_at_start = True
    mergeable = True
    budget_knob = "rank"
    #: That of VeRA, whose parameters these are (Kopiczko et al., 2023).
    training = {"learning_rate": 4e-3}

    def layer_parameters(self, layer: Linear, shapes: Shapes) -> int:
        return 2 * self.rank + layer.d_out


METHOD = Pvera
