"""Parallel adapter: a bottleneck beside the feed-forward network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from peftbench.methods._native.bottleneck_method import BottleneckMethod

if TYPE_CHECKING:
    from peftbench.methods._native.part import Part
    from peftbench.methods._native.places import Block


@dataclass(frozen=True, kw_only=True)
class ParallelAdapter(BottleneckMethod):
    """Adapters beside feed-forward networks (He et al., 2022, arXiv:2110.04366).

    Computes ``F(x) + U f(D x + d) + u`` with F the feed-forward network and x: (hidden,)
    its input, normalised as the base does; D: (bottleneck, hidden), random;
    U: (hidden, bottleneck), zero at the start, as are d and u.
    Trains ``2 * hidden * bottleneck + bottleneck + hidden`` parameters per block.
    """

    placement = "beside the feed-forward network of every block"
    paper = "He et al., 2022, arXiv:2110.04366"
    defaults_from = (
        "place, non-linearity and initial values: He et al., the parallel adapter of table 3; "
        "64, not their 512, to compare with the sequential one"
    )
    #: Ours, that of `sequential-bottleneck`: the two differ by where they are alone.
    training = {"learning_rate": 1e-4}

    def block_parts(self, block: Block, width: int) -> Mapping[str, Part]:
        from peftbench.methods._native.bottleneck import beside_feed_forward

        return beside_feed_forward(block, self.adapter(width))


METHOD = ParallelAdapter
