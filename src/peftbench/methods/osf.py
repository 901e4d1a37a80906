"""OSF: only the minor singular directions of a weight are trained."""

from __future__ import annotations

from dataclasses import dataclass

from peftbench.methods._linear import NOT_LINEAR, LinearMethod
from peftbench.methods._settings import fraction
from peftbench.models import Linear, Shapes


@dataclass(frozen=True, kw_only=True)
class Osf(LinearMethod):
    """Orthogonal subspace fine-tuning (Nayak et al., 2025, arXiv:2504.07097).

    Splits W: (d_out, d_in) by its singular values into the leading part, frozen, and the rest,
    ``U diag(s) V`` with U: (d_out, k), s: (k,), V: (k, d_in) trained. Gradients are projected
    so that they stay orthogonal to what is frozen: old knowledge is kept. The leading part is
    the given fraction of the m = min(d_in, d_out) directions, rounded down, and k are the
    others.
    Trains ``k * (d_in + d_out + 1)`` parameters per layer: not few.
    """

    preserved_fraction: float = fraction(0.5, peft="effective_rank")

    title = "OSF"
    tuner = "OSFConfig"
    family = "reparameterised"
    paper = "Nayak et al., 2025, arXiv:2504.07097"
    defaults_from = "half of the directions: peft and the paper"
    identity_at_start = True
    mergeable = True
    budget_knob = None
    unsupported = NOT_LINEAR
    #: huggingface/peft, method_comparison/MetaMathQA, osf on Llama-3.2-3B.
    training = {"learning_rate": 5e-5}

    def layer_parameters(self, layer: Linear, shapes: Shapes) -> int:
        directions = min(layer.d_in, layer.d_out)
        trained = directions - max(1, int(directions * self.preserved_fraction))
        return trained * (layer.d_in + layer.d_out + 1)


METHOD = Osf
