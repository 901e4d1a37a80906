"""Sequential bottleneck: one adapter in each block, after the feed-forward network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from peftbench.methods._native.bottleneck_method import BottleneckMethod

if TYPE_CHECKING:
    from peftbench.methods._native.part import Part
    from peftbench.methods._native.places import Block


@dataclass(frozen=True, kw_only=True)
class SequentialBottleneck(BottleneckMethod):
    """Adapters after feed-forward networks (Pfeiffer et al., 2021, arXiv:2005.00247).

    Computes ``h + U f(D h + d) + u`` with h: (hidden,), the output of the feed-forward
    network before it joins the residual stream; D: (bottleneck, hidden), random;
    U: (hidden, bottleneck), zero at the start, as are d and u.
    Trains ``2 * hidden * bottleneck + bottleneck + hidden`` parameters per block.
    """

    placement = "after the feed-forward network of every block"
    paper = "Pfeiffer et al., 2021, arXiv:2005.00247"
    defaults_from = (
        "place and non-linearity: Pfeiffer et al.; 64: the size that Houlsby et al., 2019, "
        "fix for GLUE (Pfeiffer et al. take a sixteenth of the hidden size, 48 on BERT base)"
    )
    #: Pfeiffer et al., for single adapters.
    training = {"learning_rate": 1e-4}

    def block_parts(self, block: Block, width: int) -> Mapping[str, Part]:
        from peftbench.methods._native.bottleneck import After

        return {block.feed_forward: After(self.adapter(width))}


METHOD = SequentialBottleneck
