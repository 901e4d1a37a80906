"""AdaptFormer: a quiet bottleneck beside the feed-forward network, with dropout inside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from peftbench.methods._native.bottleneck_method import BottleneckMethod
from peftbench.methods._settings import fraction, positive

if TYPE_CHECKING:
    from peftbench.methods._native.part import Part
    from peftbench.methods._native.places import Block


@dataclass(frozen=True, kw_only=True)
class Adaptformer(BottleneckMethod):
    """AdaptMLP beside feed-forward networks (Chen et al., 2022, arXiv:2205.13535).

    Computes ``F(x) + scale * (U dropout(f(D x + d)) + u)`` with F the feed-forward network
    and x: (hidden,) its input, normalised as the base does; D: (bottleneck, hidden), random;
    U: (hidden, bottleneck), zero at the start, as are d and u.
    Trains ``2 * hidden * bottleneck + bottleneck + hidden`` parameters per block.

    The formula is that of `scaled-parallel-adapter`; the two come from different fields and
    differ by scale, size and dropout.
    """

    scale: float = positive(0.1)
    dropout: float = fraction(0.1)

    title = "AdaptFormer"
    placement = "beside the feed-forward network of every block"
    paper = "Chen et al., 2022, arXiv:2205.13535"
    defaults_from = (
        "size 64 and scale 0.1: Chen et al., section 4; dropout 0.1: their published code"
    )
    #: Ours: a tenth of the scale wants a larger step than `sequential-bottleneck`'s. Chen et
    #: al. train with SGD, whose rates say nothing about AdamW's.
    training = {"learning_rate": 1e-3}

    def block_parts(self, block: Block, width: int) -> Mapping[str, Part]:
        from peftbench.methods._native.bottleneck import beside_feed_forward

        adapter = self.adapter(width, scale=self.scale, dropout=self.dropout)
        return beside_feed_forward(block, adapter)


METHOD = Adaptformer
