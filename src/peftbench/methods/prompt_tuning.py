"""Prompt tuning: trained embeddings before the input."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from peftbench.methods._method import Family, PeftMethod
from peftbench.methods._settings import check_whole

if TYPE_CHECKING:
    from peft import PeftConfig, PeftModel
    from transformers import PreTrainedModel

    from peftbench.models._shapes import Shapes


@dataclass(frozen=True, kw_only=True)
class PromptTuning(PeftMethod):
    """Trained embeddings before the input's (Lester et al., 2021, arXiv:2104.08691).

    Computes ``f([P; E(x)])`` with P: (num_virtual_tokens, hidden), trained, and
    E(x): (length, hidden), the embeddings of the input. P starts as the embeddings of
    tokens drawn from the vocabulary.
    Trains ``num_virtual_tokens * hidden`` parameters. The logits of an adapted model have
    `num_virtual_tokens` positions more, at the front.
    """

    num_virtual_tokens: int = 100

    family: ClassVar[Family] = "soft prompt"
    placement: ClassVar[str] = "before the input's embeddings"
    paper: ClassVar[str] = "Lester et al., 2021, arXiv:2104.08691"
    defaults_from: ClassVar[str] = (
        "Lester et al.: 100 tokens, sampled vocabulary; drawn here from the whole vocabulary, "
        "there from its 5,000 most frequent entries"
    )
    identity_at_start: ClassVar[bool] = False  # the virtual tokens are attended to
    mergeable: ClassVar[bool] = False
    budget_knob: ClassVar[str | None] = "num_virtual_tokens"
    training: ClassVar[Mapping[str, Any]] = {"learning_rate": 3e-2}

    def __post_init__(self) -> None:
        check_whole(
            "Prompt tuning", "num_virtual_tokens", self.num_virtual_tokens, "try 10 to 100"
        )

    def trainable_parameters(self, shapes: Shapes) -> int:
        """``num_virtual_tokens * hidden``."""
        return self.num_virtual_tokens * shapes.hidden_size

    def config(self, model: PreTrainedModel) -> PeftConfig:  # noqa: ARG002
        """See `PeftMethod.config`."""
        import peft

        return peft.PromptTuningConfig(
            task_type="CAUSAL_LM",
            num_virtual_tokens=self.num_virtual_tokens,
            prompt_tuning_init="SAMPLE_VOCAB",
        )

    def _wrap(self, model: PreTrainedModel, config: PeftConfig) -> PeftModel:
        from peftbench.methods._virtual_tokens import count_positions_from_mask

        adapted = super()._wrap(model, config)
        count_positions_from_mask(adapted)
        return adapted


METHOD = PromptTuning
