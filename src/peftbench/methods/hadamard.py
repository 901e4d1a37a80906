"""Hadamard adapter: what attention returns is scaled and shifted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from peftbench.methods._native.method import NativeMethod
from peftbench.models import Shapes

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from peftbench.methods._native.part import Part


@dataclass(frozen=True, kw_only=True)
class Hadamard(NativeMethod):
    """Element-wise linear map of attention's output (Chen et al., 2023, arXiv:2407.11033).

    Computes ``w * a + b`` with a: (hidden,), the output of the attention module, its output
    projection included; w: (hidden,), one at the start; b: (hidden,), zero at the start.
    Folds into the output projection.
    Trains ``2 * hidden`` parameters per block. The paper trains normalisation layers beside
    it; combine with `ln-tuning` for that.
    """

    family = "adapter"
    placement = "after the attention of every block"
    paper = "Chen et al., 2023, arXiv:2407.11033"
    defaults_from = "no settings"
    identity_at_start = True
    mergeable = True
    budget_knob = None
    #: Ours, that of `ssf`, the same map in more places.
    training = {"learning_rate": 1e-3}

    def trainable_parameters(self, shapes: Shapes) -> int:
        return 2 * shapes.hidden_size * shapes.num_layers

    def parts(self, model: PreTrainedModel, found: Mapping[str, Any]) -> Mapping[str, Part]:
        from peftbench.methods._native.places import Places
        from peftbench.methods._native.vectors import ScaleShift

        width = model.config.hidden_size
        blocks = Places.of(model).blocks
        return {block.attention_out: ScaleShift(width) for block in blocks}


METHOD = Hadamard
