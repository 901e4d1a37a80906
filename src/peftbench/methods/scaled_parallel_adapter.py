"""Scaled parallel adapter: a bottleneck beside the feed-forward network, made louder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from peftbench.methods._native.bottleneck_method import BottleneckMethod
from peftbench.methods._settings import positive

if TYPE_CHECKING:
    from peftbench.methods._native.part import Part
    from peftbench.methods._native.places import Block


@dataclass(frozen=True, kw_only=True)
class ScaledParallelAdapter(BottleneckMethod):
    """Scaled adapters beside feed-forward networks (He et al., 2022, arXiv:2110.04366).

    Computes ``F(x) + scale * (U f(D x + d) + u)`` with F the feed-forward network and
    x: (hidden,) its input, normalised as the base does; D: (bottleneck, hidden), random;
    U: (hidden, bottleneck), zero at the start, as are d and u.
    Trains ``2 * hidden * bottleneck + bottleneck + hidden`` parameters per block.
    """

    bottleneck: int = 512
    scale: float = positive(4.0)

    title = "Scaled parallel adapter"
    placement = "beside the feed-forward network of every block"
    paper = "He et al., 2022, arXiv:2110.04366"
    defaults_from = "He et al., table 6: r = 512, s = 4, beside the FFN"
    #: He et al., table 8.
    training = {"learning_rate": 5e-5}

    def block_parts(self, block: Block, width: int) -> Mapping[str, Part]:
        from peftbench.methods._native.bottleneck import beside_feed_forward

        return beside_feed_forward(block, self.adapter(width, scale=self.scale))


METHOD = ScaledParallelAdapter
