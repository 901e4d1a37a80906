"""Linear probe: the output layer alone is trained, on the frozen model's last states."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from peftbench.methods._native.method import NativeMethod
from peftbench.models import Shapes

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel

    from peftbench.methods._native.part import Part


@dataclass(frozen=True, kw_only=True)
class LinearProbe(NativeMethod):
    """The output layer, trained from the base's own (Alain and Bengio, 2016,
    arXiv:1610.01644).

    Computes ``W h`` with h: (hidden,), the last hidden state; W: (vocabulary, hidden), a
    trained copy of the output layer's weights. Where the output layer shares its weights
    with the input embedding, the copy is trained and the embedding stays: a probe reads a
    model, and must not change what it reads. A bias, where there is one, stays frozen.
    Trains ``vocabulary * hidden`` parameters: nothing below them, so no gradient passes the
    blocks. Merged into a model with tied embeddings, it unties them.
    """

    family = "selective"
    placement = "output layer"
    paper = "Alain and Bengio, 2016, arXiv:1610.01644"
    defaults_from = "no settings"
    identity_at_start = True  # the copy starts as it is
    mergeable = True
    budget_knob = None
    needs_backward_through_base = False
    #: Ours: fifty times that of `full`, since one layer is trained and in no danger of
    #: forgetting what lies below.
    training = {"learning_rate": 5e-4}

    def trainable_parameters(self, shapes: Shapes) -> int:
        return shapes.vocab_size * shapes.hidden_size

    def parts(self, model: PreTrainedModel, found: Mapping[str, Any]) -> Mapping[str, Part]:
        from peftbench.methods._native.copies import TrainedCopy
        from peftbench.methods._native.places import Places

        places = Places.of(model)
        return {places.head: TrainedCopy(places.modules[places.head], only=["weight"])}

    def merge(self, adapted: nn.Module) -> PreTrainedModel:
        """From here on, output layer and embedding are two."""
        config = cast("PreTrainedModel", adapted).config
        config.tie_word_embeddings = False
        merged = super().merge(adapted)
        config.tie_word_embeddings = False  # what was restored is no longer true
        return merged


METHOD = LinearProbe
