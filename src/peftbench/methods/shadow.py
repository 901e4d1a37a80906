"""ShadowPEFT: a small network runs beside the blocks and corrects what enters them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from peftbench.methods._method import Family, PeftMethod
from peftbench.methods._settings import check_whole, fraction, positive

if TYPE_CHECKING:
    from peft import PeftConfig, PeftModel
    from transformers import PreTrainedModel

    from peftbench.models._shapes import Shapes


@dataclass(frozen=True, kw_only=True)
class Shadow(PeftMethod):
    """A parallel shadow network (the `shadow` of huggingface/peft, 2026).

    A backbone of one block, built like the base's and random, makes a shadow state s: (hidden,)
    of every token. Before each block the base's state h gains ``alpha * U dropout(D (h - s))`` with
    D: (rank, hidden), random, and U: (hidden, rank), zero; after it s moves towards the block's
    output by a gated update, ``s + g(h) o t(h)``, whose two networks t and g have a hidden layer of
    `rank`. The auxiliary loss on the shadow's own logits, which needs labels in the forward pass,
    is left out.
    Trains ``2 * rank * hidden`` parameters per block, ``2 * (2 * rank * hidden + rank + hidden)``
    in all blocks but the last, after which no block needs s, one block like the base's, and a
    last norm. Saved are the last block's unused networks too.
    """

    rank: int = 8
    alpha: float = 0.1
    dropout: float = 0.2

    family: ClassVar[Family] = "side"
    placement: ClassVar[str] = "inputs of all blocks"
    paper: ClassVar[str] = "ShadowPEFT of huggingface/peft, 2026"
    defaults_from: ClassVar[str] = "peft: rank 8, alpha 0.1, dropout 0.2, one shadow block"
    identity_at_start: ClassVar[bool] = True  # because every U is zero
    mergeable: ClassVar[bool] = False  # what it adds depends on the token
    budget_knob: ClassVar[str | None] = "rank"
    unsupported: ClassVar[Mapping[str, str]] = dict.fromkeys(
        ("gpt2", "gpt_neox", "opt"),
        "its shadow embeds tokens or positions anew",
    )
    #: huggingface/peft, method_comparison/MetaMathQA, its default for all methods.
    training: ClassVar[Mapping[str, Any]] = {"learning_rate": 1e-4}

    def __post_init__(self) -> None:
        check_whole("ShadowPEFT", "rank", self.rank, "try 8 to 64")
        alpha = positive("ShadowPEFT", "alpha", self.alpha, "try 0.1")
        object.__setattr__(self, "alpha", alpha)
        dropout = fraction("ShadowPEFT", "dropout", self.dropout)
        object.__setattr__(self, "dropout", dropout)

    def trainable_parameters(self, shapes: Shapes) -> int:
        """See the class."""
        return self.stored_parameters(shapes) - self._update(shapes)

    def stored_parameters(self, shapes: Shapes) -> int:
        """See the class."""
        blocks = shapes.num_layers
        correction = 2 * self.rank * shapes.hidden_size
        *norms, last = shapes.norms
        backbone = (sum(x.parameters for x in shapes.linears) + sum(norms)) // blocks + last
        return blocks * (correction + self._update(shapes)) + backbone

    def _update(self, shapes: Shapes) -> int:
        """Parameters of t and g of one block."""
        r, d = self.rank, shapes.hidden_size
        return 2 * (2 * r * d + r + d)

    def config(self, model: PreTrainedModel) -> PeftConfig:  # noqa: ARG002
        """See `PeftMethod.config`."""
        import peft

        return peft.ShadowConfig(
            task_type="CAUSAL_LM",
            r=self.rank,
            shadow_alpha=self.alpha,
            shadow_dropout=self.dropout,
        )

    def _wrap(self, model: PreTrainedModel, config: PeftConfig) -> PeftModel:
        from peft.tuners.shadow.layers import ShadowLayer

        adapted = super()._wrap(model, config)
        *_, last = (m for m in adapted.modules() if isinstance(m, ShadowLayer))
        last.shadow_update_transform.requires_grad_(False)
        last.shadow_update_gate.requires_grad_(False)
        return adapted


METHOD = Shadow
