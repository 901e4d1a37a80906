"""Last layers: the last blocks are trained as they are, the ones below stay frozen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from peftbench.errors import InvalidSpec
from peftbench.methods._native.method import NativeMethod
from peftbench.methods._settings import whole
from peftbench.models import Shapes

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from peftbench.methods._native.part import Part


@dataclass(frozen=True, kw_only=True)
class LastLayers(NativeMethod):
    """All weights of the last blocks (Yosinski et al., 2014, arXiv:1411.1792; partial
    fine-tuning, "Partial-k").

    Trains copies of every linear and normalisation layer of the last `layers` blocks, in
    float32; the blocks below run without a backward pass. Final normalisation and output
    layer stay frozen: see `linear-probe` for the latter.
    """

    layers: int = whole(1, hint="1 trains the last block")

    title = "last-layers"
    family = "selective"
    placement = "every layer of the last blocks"
    paper = "Yosinski et al., 2014, arXiv:1411.1792"
    defaults_from = "Partial-1 of Jia et al., 2022, arXiv:2203.12119"
    identity_at_start = True  # because the copies start as they are
    mergeable = True
    budget_knob = "layers"
    #: That of `full`, which trains the same weights and the others too.
    training = {"learning_rate": 1e-5}

    def trainable_parameters(self, shapes: Shapes) -> int:
        """Linear and normalisation layers of so many blocks."""
        self._check(shapes.num_layers)
        linears = sum(linear.parameters for linear in shapes.linears) // shapes.num_layers
        norms = (sum(shapes.norms) - shapes.norms[-1]) // shapes.num_layers
        return self.layers * (linears + norms)

    def parts(self, model: PreTrainedModel, found: Mapping[str, Any]) -> Mapping[str, Part]:
        from peftbench.methods._native.copies import TrainedCopy
        from peftbench.methods._native.places import Places

        places = Places.of(model)
        self._check(len(places.blocks))
        last = tuple(f"{block.name}." for block in places.blocks[-self.layers :])
        return {
            name: TrainedCopy(module)
            for name, module in places.modules.items()
            if name.startswith(last) and list(module.parameters(recurse=False))
        }

    def _check(self, blocks: int) -> None:
        if self.layers > blocks:
            raise InvalidSpec(
                f"last-layers: {self.layers} layers wanted, and this model has {blocks} "
                f"blocks; choose at most {blocks}."
            )


METHOD = LastLayers
