"""Double bottleneck: adapters after attention and after the feed-forward network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from peftbench.methods._native.bottleneck_method import BottleneckMethod

if TYPE_CHECKING:
    from peftbench.methods._native.part import Part
    from peftbench.methods._native.places import Block


@dataclass(frozen=True, kw_only=True)
class DoubleBottleneck(BottleneckMethod):
    """Adapters after both sublayers (Houlsby et al., 2019, arXiv:1902.00751).

    Computes ``h + U f(D h + d) + u`` with h: (hidden,), the output of the attention module,
    and again of the feed-forward network, before it joins the residual stream;
    D: (bottleneck, hidden), random; U: (hidden, bottleneck), zero at the start, as are d
    and u: the limit of the paper's near-identity start.
    Trains ``2 * (2 * hidden * bottleneck + bottleneck + hidden)`` parameters per block.
    """

    non_linearity: str = "gelu"

    placement = "after attention and feed-forward network of every block"
    paper = "Houlsby et al., 2019, arXiv:1902.00751"
    defaults_from = (
        "64: the size that Houlsby et al. fix for GLUE; GELU: that of their BERT"
    )
    adapters_per_block = 2
    #: Houlsby et al., the middle of the rates that they search: 3e-5, 3e-4, 3e-3.
    training = {"learning_rate": 3e-4}

    def block_parts(self, block: Block, width: int) -> Mapping[str, Part]:
        from peftbench.methods._native.bottleneck import After

        return {
            place: After(self.adapter(width))
            for place in (block.attention, block.feed_forward)
        }


METHOD = DoubleBottleneck
