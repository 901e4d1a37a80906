"""AdapterBias: every token is shifted along one direction per block."""

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
class Adapterbias(NativeMethod):
    """Token-dependent shift of representations (Fu et al., 2022, arXiv:2205.00305).

    Computes ``h + (w . h + c) v`` with h: (hidden,), the output of the feed-forward network;
    v: (hidden,), the direction, zero at the start; w: (hidden,) and the scalar c, random:
    how far each token goes.
    Trains ``2 * hidden + 1`` parameters per block.
    """

    family = "adapter"
    placement = "after the feed-forward network of every block"
    paper = "Fu et al., 2022, arXiv:2205.00305"
    defaults_from = "no settings"
    identity_at_start = True  # because v is zero
    mergeable = False
    budget_knob = None
    #: Ours, that of `bitfit`: both train vectors as wide as the model.
    training = {"learning_rate": 1e-3}

    def trainable_parameters(self, shapes: Shapes) -> int:
        return (2 * shapes.hidden_size + 1) * shapes.num_layers

    def parts(self, model: PreTrainedModel, found: Mapping[str, Any]) -> Mapping[str, Part]:
        from peftbench.methods._native.places import Places
        from peftbench.methods._native.vectors import TokenShift

        width = model.config.hidden_size
        return {block.feed_forward: TokenShift(width) for block in Places.of(model).blocks}


METHOD = Adapterbias
