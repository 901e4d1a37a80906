"""UniPELT: prefix, adapter and LoRA in every block, each behind a gate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from peftbench.errors import InvalidSpec
from peftbench.methods._native.method import NativeMethod
from peftbench.methods._settings import whole
from peftbench.models import Linear, Shapes

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from peftbench.methods._native.part import Part

#: Queries and values, or the layer that makes queries, keys and values at once.
_QUERIES_AND_VALUES = ("q_proj", "v_proj", "c_attn", "query_key_value", "qkv_proj")


@dataclass(frozen=True, kw_only=True)
class Unipelt(NativeMethod):
    """Gated prefix, adapter and LoRA (Mao et al., 2022, arXiv:2110.07577).

    In every block, each with a gate ``g = sigmoid(w . z + c)`` of its own, w and c random:
    attention over ``[P_k; K]`` and ``[P_v; V]``, with P_k and P_v: (prefix_tokens, kv_dim),
    log g added to the scores of the prefix, z the input of attention;
    ``W z + g * (alpha / rank) * B A z`` for queries and values, A: (rank, d_in), random,
    B: (d_out, rank), zero; and ``z + g * (U f(D z + d) + u)`` with z the output of the
    feed-forward network, D: (bottleneck, hidden), random, U: (hidden, bottleneck), zero.
    Trains ``2 * prefix_tokens * kv_dim + 2 * hidden * bottleneck + bottleneck + 3 * hidden + 2``
    parameters per block, and ``rank * (d_in + d_out) + d_in + 1`` for each layer of LoRA.

    The paper averages gates over a sentence and multiplies the prefix by one of them. In a
    causal model a token must not know those after it: every token has its own gates here,
    and that of the prefix multiplies the weight with which the token attends to it.
    """

    prefix_tokens: int = whole(10, hint="try 5 to 50")
    bottleneck: int = whole(48, hint="try 8 to 256")
    rank: int = whole(8, hint="try 4 to 64")
    alpha: int = whole(8, hint="once or twice the rank is common")

    title = "UniPELT"
    family = "hybrid"
    placement = "in attention and after the feed-forward network"
    paper = "Mao et al., 2022, arXiv:2110.07577"
    defaults_from = (
        "Mao et al.: prefix of 10, adapter of hidden / 16 = 48 on BERT base, LoRA of rank 8; "
        "alpha 8 as in AdapterHub's UniPELTConfig"
    )
    identity_at_start = False  # every token attends to the prefix
    mergeable = False
    budget_knob = "bottleneck"
    #: Mao et al., section 4.1: 5e-4 for UniPELT.
    training = {"learning_rate": 5e-4}

    def trainable_parameters(self, shapes: Shapes) -> int:
        """Prefix, adapter and two gates of every block; LoRA and its gates."""
        hidden, size = shapes.hidden_size, self.bottleneck
        adapter = 2 * hidden * size + size + hidden
        gates = 2 * (hidden + 1)
        lora = sum(
            self.rank * (layer.d_in + layer.d_out) + layer.d_in + 1
            for layer in _lora_layers(shapes)
        )
        prefix = 2 * self.prefix_tokens * shapes.kv_dim
        return (prefix + adapter + gates) * shapes.num_layers + lora

    def parts(self, model: PreTrainedModel, found: Mapping[str, Any]) -> Mapping[str, Part]:
        from peftbench.methods._native import linear
        from peftbench.methods._native.bottleneck import After, Bottleneck
        from peftbench.methods._native.gates import Gated
        from peftbench.methods._native.low_rank import LowRank
        from peftbench.methods._native.places import Places
        from peftbench.methods._native.prefix import Prefix

        width = model.config.hidden_size
        places = Places.of(model)
        parts: dict[str, Part] = {}
        for block in places.blocks:
            parts[block.attention] = Prefix(model, self.prefix_tokens, gated=True)
            adapter = After(Bottleneck(width, self.bottleneck))
            parts[block.feed_forward] = Gated(adapter, width, reads="output")
        for name, layer in places.linears(_QUERIES_AND_VALUES).items():
            lora = LowRank(layer, self.rank, self.alpha / self.rank)
            parts[name] = Gated(lora, linear.size_of(layer)[1], reads="input")
        return parts


def _lora_layers(shapes: Shapes) -> list[Linear]:
    found = [layer for layer in shapes.linears if layer.leaf in _QUERIES_AND_VALUES]
    if not found:
        raise InvalidSpec(
            f"UniPELT: this {shapes.model_type} model has no layer called "
            f"{', '.join(_QUERIES_AND_VALUES)}; use another method or another model."
        )
    return found


METHOD = Unipelt
