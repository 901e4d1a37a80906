"""TS-bottleneck: a parallel adapter that reaches only the tokens for which it is large."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from peftbench.methods._native.bottleneck_method import NON_LINEARITIES
from peftbench.methods._native.token_selective_method import TokenSelectiveMethod
from peftbench.methods._settings import one_of, whole
from peftbench.models import Shapes

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from peftbench.methods._native.part import Part
    from peftbench.methods.parallel_adapter import ParallelAdapter


@dataclass(frozen=True, kw_only=True)
class TsBottleneck(TokenSelectiveMethod):
    """Token-selective parallel adapter (TS-PEFT, 2025, arXiv:2511.16147).

    Computes ``F(x) + 1[r >= tau] * M(x)`` for every token, with F the feed-forward network,
    x: (hidden,) its input; ``M(x) = U f(D x + d) + u`` the adapter of `parallel-adapter`;
    ``r = |M(x)| / |F(x)|``; tau: a scalar per block, trained from zero.
    Trains ``2 * hidden * bottleneck + bottleneck + hidden + 1`` parameters per block.

    Thresholds are learned as in `ts-lora`: dense first, at rest in the last tenth.
    """

    bottleneck: int = whole(64, hint="try 8 to 256")
    non_linearity: str = one_of("relu", NON_LINEARITIES, called="non-linearities")

    title = "TS-bottleneck"
    placement = "beside feed-forward networks, at chosen tokens"
    defaults_from = (
        "the adapter: `parallel-adapter`; ours for the thresholds, whose constants are not "
        "published: see docs/decisions/0061"
    )
    budget_knob = "bottleneck"
    #: That of `parallel-adapter`.
    training = {"learning_rate": 1e-4}

    def trainable_parameters(self, shapes: Shapes) -> int:
        """Those of the adapter, and one threshold per block."""
        return self._inner().trainable_parameters(shapes) + shapes.num_layers

    def inner_parts(self, model: PreTrainedModel) -> Mapping[str, Part]:
        return self._inner().parts(model, {})

    def _inner(self) -> ParallelAdapter:
        from peftbench.methods.parallel_adapter import ParallelAdapter

        return ParallelAdapter(bottleneck=self.bottleneck, non_linearity=self.non_linearity)


METHOD = TsBottleneck
