"""FISH mask: the weights with the largest Fisher information are trained, a few in a thousand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from peftbench.errors import InvalidSpec
from peftbench.methods._native.method import NativeMethod
from peftbench.methods._settings import linear_layers, targeted, whole
from peftbench.models import Shapes

if TYPE_CHECKING:
    from peft import PeftModel
    from torch import Tensor, nn
    from transformers import PreTrainedModel

    from peftbench.methods._hook import RunContext
    from peftbench.methods._native.part import Part


@dataclass(frozen=True, kw_only=True)
class FishMask(NativeMethod):
    """Fisher-induced sparse unchanging mask (Sung et al., 2021, arXiv:2111.09839).

    Computes ``(W + dW) x`` with W: (d_out, d_in), frozen; dW zero but for the entries whose
    empirical Fisher information, the squared gradient of the log-likelihood summed over the
    first `examples` training examples, is largest in the whole model. These start at zero
    and are trained; which they are does not change. Folds into W.
    Trains ``per_mille / 1000`` of the weights of the targets, rounded down, and stores each
    with its place.

    `attach` without a run has no data to see: it takes the weights largest in magnitude. While
    weights are chosen, their scores need as much memory as the targets in float32, twice over.
    """

    per_mille: int = whole(5, hint="5 is half a percent")
    examples: int = whole(1024, hint="try 128 to 1024")
    target_modules: str | tuple[str, ...] = linear_layers()

    title = "FISH mask"
    family = "selective"
    placement = "single weights of linear layers of the blocks"
    paper = "Sung et al., 2021, arXiv:2111.09839"
    defaults_from = "Sung et al.: 0.5 % of the weights, 1024 examples"
    identity_at_start = True  # because dW is zero
    mergeable = True
    depends_on_values = True  # which entries, and so which layers
    budget_knob = "per_mille"
    #: Ours: ten times that of `full`, of which it trains a two-hundredth.
    training = {"learning_rate": 1e-4}

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.per_mille > 1000:
            raise InvalidSpec(
                f"FISH mask: {self.per_mille} per mille are more than all weights; 1000 is all."
            )

    def trainable_parameters(self, shapes: Shapes) -> int:
        """So many thousandths of the weights of all targets."""
        layers = targeted(self.title, shapes, self.target_modules)
        return sum(la.d_in * la.d_out for la in layers) * self.per_mille // 1000

    def stored_parameters(self, shapes: Shapes) -> int:
        """Each with its place."""
        return 2 * self.trainable_parameters(shapes)

    def parts(self, model: PreTrainedModel, found: Mapping[str, Any]) -> Mapping[str, Part]:
        """`found` says how many weights of which layer."""
        from peftbench.methods._native.places import Places
        from peftbench.methods._native.sparse import SparseUpdate

        layers = Places.of(model).linears(self.target_modules)
        return {name: SparseUpdate(layers[name], found[name]) for name in found}

    def attach(self, model: PreTrainedModel) -> nn.Module:
        """Without data, the weights largest in magnitude."""
        from peftbench.methods._native import linear

        layers = self._layers(model)
        sizes = {name: linear.weight_of(la).detach().abs() for name, la in layers.items()}
        return self._attach(model, sizes)

    def attach_for(self, model: PreTrainedModel, context: RunContext) -> nn.Module:
        """The weights of largest Fisher information."""
        from peftbench.methods._native.sparse import fisher

        layers = self._layers(model)
        if any(layer.get_parameter("weight").is_meta for layer in layers.values()):
            return self.attach(model)
        return self._attach(model, fisher(model, layers, context, self.examples))

    def _layers(self, model: PreTrainedModel) -> dict[str, nn.Module]:
        from peftbench.methods._native.places import Places

        targeted(self.title, Shapes.of(model), self.target_modules)
        return Places.of(model).linears(self.target_modules)

    def _attach(self, model: PreTrainedModel, scores: Mapping[str, Tensor]) -> nn.Module:
        from peftbench.methods._native.sparse import SparseUpdate, largest
        from peftbench.methods._native.tuner import NativeConfig

        count = sum(score.numel() for score in scores.values()) * self.per_mille // 1000
        if not count:
            raise InvalidSpec(
                f"FISH mask: {self.per_mille} per mille of this model's few weights are none; "
                "raise per_mille."
            )
        chosen = largest(scores, count)
        config = cast("NativeConfig", self.config(model))
        config.found = {name: len(places) for name, places in chosen.items()}
        adapted: PeftModel = self._wrap(model, config)
        parts = [part for part in adapted.modules() if isinstance(part, SparseUpdate)]
        for part, places in zip(parts, chosen.values(), strict=True):
            part.indices.copy_(places)
        wrapped: nn.Module = adapted
        return wrapped


METHOD = FishMask
