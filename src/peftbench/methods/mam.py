"""MAM: a prefix in attention, and a scaled adapter beside the feed-forward network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from peftbench.methods._native.method import NativeMethod
from peftbench.methods._settings import positive, whole
from peftbench.models import Shapes

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from peftbench.methods._native.part import Part


@dataclass(frozen=True, kw_only=True)
class Mam(NativeMethod):
    """Mix-and-match adapter (He et al., 2022, arXiv:2110.04366).

    In every block, attention over ``[P_k; K]`` and ``[P_v; V]`` with P_k and P_v:
    (prefix_tokens, kv_dim), random, trained outright; and ``F(x) + scale * (U f(D x + d) + u)``
    beside the feed-forward network F with x: (hidden,) its input; D: (bottleneck, hidden),
    random; U: (hidden, bottleneck), zero, as are d and u; f: ReLU.
    Trains ``2 * prefix_tokens * kv_dim + 2 * hidden * bottleneck + bottleneck + hidden``
    parameters per block.

    The prefix moves no positions, unlike `prefix-tuning`'s.
    """

    prefix_tokens: int = whole(30, hint="try 10 to 100")
    bottleneck: int = whole(512, hint="try 8 to 512")
    scale: float = positive(4.0)

    title = "MAM"
    family = "hybrid"
    placement = "in attention and beside the feed-forward network"
    paper = "He et al., 2022, arXiv:2110.04366"
    defaults_from = "He et al., table 6: l = 30, r = 512, s = 4"
    identity_at_start = False  # every token attends to the prefix
    mergeable = False
    budget_knob = "bottleneck"
    #: He et al., table 8.
    training = {"learning_rate": 5e-5}

    def trainable_parameters(self, shapes: Shapes) -> int:
        """Prefix and adapter of every block."""
        hidden, size = shapes.hidden_size, self.bottleneck
        adapter = 2 * hidden * size + size + hidden
        return (2 * self.prefix_tokens * shapes.kv_dim + adapter) * shapes.num_layers

    def parts(self, model: PreTrainedModel, found: Mapping[str, Any]) -> Mapping[str, Part]:
        from peftbench.methods._native.bottleneck import Bottleneck, beside_feed_forward
        from peftbench.methods._native.places import Places
        from peftbench.methods._native.prefix import Prefix

        width = model.config.hidden_size
        parts: dict[str, Part] = {}
        for block in Places.of(model).blocks:
            parts[block.attention] = Prefix(model, self.prefix_tokens)
            adapter = Bottleneck(width, self.bottleneck, scale=self.scale)
            parts |= beside_feed_forward(block, adapter)
        return parts


METHOD = Mam
