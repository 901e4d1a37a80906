"""GLoRA: low-rank changes that add to weights and multiply them."""

from __future__ import annotations

from dataclasses import dataclass

from peftbench.methods._linear import NOT_LINEAR, LinearMethod
from peftbench.methods._settings import whole
from peftbench.models import Linear, Shapes


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

    rank: int = whole(8, peft="r", hint="try 4 to 64")

    title = "GLoRA"
    tuner = "GloraConfig"
    family = "reparameterised"
    paper = "Chavan et al., 2023, arXiv:2306.07967"
    defaults_from = (
        "peft: rank 8, low-rank A, B and C, constant D and E; the paper searches the kind of "
        "each"
    )
    identity_at_start = True
    mergeable = True
    budget_knob = "rank"
    unsupported = NOT_LINEAR
    #: huggingface/peft, method_comparison/MetaMathQA, glora on Llama-3.2-3B.
    training = {"learning_rate": 1e-4}

    def layer_parameters(self, layer: Linear, shapes: Shapes) -> int:
        with_bias = self.rank * (layer.d_in + 1) + 2
        return 2 * self.rank * (layer.d_in + layer.d_out) + layer.has_bias * with_bias

    def stored_parameters(self, shapes: Shapes) -> int:
        zeros = sum(x.d_in + 2 * x.d_out for x in self.layers(shapes) if not x.has_bias)
        return self.trainable_parameters(shapes) + zeros


METHOD = Glora
