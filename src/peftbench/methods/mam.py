"""MAM: a prefix in attention, and a scaled adapter beside the feed-forward network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from peftbench.methods._method import Family
from peftbench.methods._native.method import NativeMethod
from peftbench.methods._settings import check_whole, positive

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from peftbench.methods._native.part import Part
    from peftbench.models._shapes import Shapes


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

    prefix_tokens: int = 30
    bottleneck: int = 512
    scale: float = 4.0

    family: ClassVar[Family] = "hybrid"
    placement: ClassVar[str] = "in attention and beside the feed-forward network"
    paper: ClassVar[str] = "He et al., 2022, arXiv:2110.04366"
    defaults_from: ClassVar[str] = "He et al., table 6: l = 30, r = 512, s = 4"
    identity_at_start: ClassVar[bool] = False  # every token attends to the prefix
    mergeable: ClassVar[bool] = False
    budget_knob: ClassVar[str | None] = "bottleneck"
    #: He et al., table 8.
    training: ClassVar[Mapping[str, Any]] = {"learning_rate": 5e-5}

    def __post_init__(self) -> None:
        check_whole("MAM", "prefix_tokens", self.prefix_tokens, "try 10 to 100")
        check_whole("MAM", "bottleneck", self.bottleneck, "try 8 to 512")
        object.__setattr__(self, "scale", positive("MAM", "scale", self.scale))

    def trainable_parameters(self, shapes: Shapes) -> int:
        """Prefix and adapter of every block."""
        hidden, size = shapes.hidden_size, self.bottleneck
        adapter = 2 * hidden * size + size + hidden
        return (2 * self.prefix_tokens * shapes.kv_dim + adapter) * shapes.num_layers

    def parts(self, model: PreTrainedModel, found: Mapping[str, Any]) -> Mapping[str, Part]:  # noqa: ARG002
        """See `NativeMethod.parts`."""
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
