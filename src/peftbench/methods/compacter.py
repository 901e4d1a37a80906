"""Compacter: adapters whose matrices are sums of Kronecker products."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from peftbench.errors import InvalidSpec
from peftbench.methods._native.method import NativeMethod
from peftbench.methods._settings import whole
from peftbench.models import Shapes

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from peftbench.methods._native.part import Part


@dataclass(frozen=True, kw_only=True)
class Compacter(NativeMethod):
    """Low-rank hypercomplex adapters (Karimi Mahabadi et al., 2021, arXiv:2106.04647).

    Computes ``h + U gelu(D h + d) + u`` with h: (hidden,), the output of attention, and again
    of the feed-forward network; D: (bottleneck, hidden) and U: (hidden, bottleneck), each
    ``sum_i A_i (x) (s_i t_i^T)`` over n Kronecker products. A_i: (n, n), random, shared by
    all adapters of the model; s_i: (d_out / n,) and t_i: (d_in / n,), each layer's own,
    random, but s_i of U zero.
    Trains ``4 * (hidden + bottleneck) + 2 * (hidden + bottleneck)`` parameters per block,
    and n^3 for all together.
    """

    bottleneck: int = whole(64, hint="try 16 to 128")
    n: int = whole(4, hint="2, 4, 8 and 12 are common")

    title = "Compacter"
    family = "adapter"
    placement = "after attention and feed-forward network of every block"
    paper = "Karimi Mahabadi et al., 2021, arXiv:2106.04647"
    defaults_from = (
        "n = 4, rank 1, shared A, GELU, after both sublayers: Karimi Mahabadi et al.; 64, near "
        "their hidden / 32 on models of a few thousand, as the other adapters have"
    )
    identity_at_start = True  # because s of U is zero
    mergeable = False
    budget_knob = "bottleneck"
    #: Karimi Mahabadi et al., appendix: 3e-3.
    training = {"learning_rate": 3e-3}

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check("bottleneck", self.bottleneck)

    def trainable_parameters(self, shapes: Shapes) -> int:
        """s, t and biases of two adapters per block, and A."""
        self._check(f"hidden size of this {shapes.model_type} model", shapes.hidden_size)
        one = 3 * (shapes.hidden_size + self.bottleneck)
        return 2 * one * shapes.num_layers + self.n**3

    def parts(self, model: PreTrainedModel, found: Mapping[str, Any]) -> Mapping[str, Part]:
        from peftbench.methods._native.bottleneck import After
        from peftbench.methods._native.hypercomplex import HypercomplexBottleneck, Rules
        from peftbench.methods._native.places import Places

        width = model.config.hidden_size
        self._check(f"hidden size of this {model.config.model_type} model", width)
        rules = Rules(self.n)
        parts: dict[str, Part] = {}
        for block in Places.of(model).blocks:
            for place in (block.attention, block.feed_forward):
                owns = not parts
                adapter = HypercomplexBottleneck(width, self.bottleneck, rules, owns=owns)
                parts[place] = After(adapter)
        return parts

    def _check(self, what: str, width: int) -> None:
        if width % self.n:
            raise InvalidSpec(
                f"Compacter: {width}, the {what}, is no multiple of n = {self.n}; choose an n "
                "that divides it."
            )


METHOD = Compacter
