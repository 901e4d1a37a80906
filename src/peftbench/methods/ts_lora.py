"""TS-LoRA: LoRA whose update reaches only the tokens for which it is large."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from peftbench.methods._native.token_selective_method import TokenSelectiveMethod
from peftbench.methods._settings import linear_layers, targeted, whole
from peftbench.models import Shapes

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from peftbench.methods._native.part import Part


@dataclass(frozen=True, kw_only=True)
class TsLora(TokenSelectiveMethod):
    """Token-selective LoRA (TS-PEFT, 2025, arXiv:2511.16147).

    Computes ``y + 1[r >= tau] * M(x)`` for every token, with y = W x + b, W: (d_out, d_in),
    frozen; ``M(x) = (alpha / rank) * B A x`` with A: (rank, d_in), random, and
    B: (d_out, rank), zero; ``r = |M(x)| / |y|``; tau: a scalar per layer, trained from zero.
    Trains ``rank * (d_in + d_out) + 1`` parameters per layer.

    With B = 0 every r is zero, and any tau above zero would shut all tokens for good: tau
    stays at zero, where every token is selected, for the first `dense_fraction` of the steps.
    It stays where it is for the last tenth. Selecting saves no arithmetic: M(x) is computed
    to be measured.
    """

    rank: int = whole(8, hint="try 4 to 64")
    alpha: int = whole(16, hint="once or twice the rank is common")
    target_modules: str | tuple[str, ...] = linear_layers()

    title = "TS-LoRA"
    placement = "linear layers of the blocks, at chosen tokens"
    defaults_from = (
        "rank, alpha and layers: `lora`; ours for the thresholds, whose constants are not "
        "published: see docs/decisions/0061"
    )
    budget_knob = "rank"
    #: That of `lora`.
    training = {"learning_rate": 2e-4}

    def trainable_parameters(self, shapes: Shapes) -> int:
        layers = targeted(self.title, shapes, self.target_modules)
        return sum(self.rank * (layer.d_in + layer.d_out) + 1 for layer in layers)

    def inner_parts(self, model: PreTrainedModel) -> Mapping[str, Part]:
        from peftbench.methods._native.low_rank import LowRank
        from peftbench.methods._native.places import Places

        layers = Places.of(model).linears(self.target_modules)
        scale = self.alpha / self.rank
        return {name: LowRank(layer, self.rank, scale) for name, layer in layers.items()}


METHOD = TsLora
