"""Prompt tuning: trained embeddings before the input."""

from __future__ import annotations

from dataclasses import dataclass

from peftbench.methods._settings import whole
from peftbench.methods._virtual_tokens import EmbeddedPrompt
from peftbench.models import Shapes


@dataclass(frozen=True, kw_only=True)
class PromptTuning(EmbeddedPrompt):
    """Trained embeddings before the input's (Lester et al., 2021, arXiv:2104.08691).

    Computes ``f([P; E(x)])`` with P: (num_virtual_tokens, hidden), trained, and
    E(x): (length, hidden), the embeddings of the input. P starts as the embeddings of
    tokens drawn from the vocabulary.
    Trains ``num_virtual_tokens * hidden`` parameters. The logits of an adapted model have
    `num_virtual_tokens` positions more, at the front.
    """

    num_virtual_tokens: int = whole(100, peft="num_virtual_tokens", hint="try 10 to 100")

    title = "Prompt tuning"
    tuner = "PromptTuningConfig"
    fixed = {"prompt_tuning_init": "SAMPLE_VOCAB"}
    placement = "before the input's embeddings"
    paper = "Lester et al., 2021, arXiv:2104.08691"
    defaults_from = (
        "Lester et al.: 100 tokens, sampled vocabulary; drawn here from the whole vocabulary, "
        "there from its 5,000 most frequent entries"
    )
    identity_at_start = False  # the virtual tokens are attended to
    mergeable = False
    budget_knob = "num_virtual_tokens"
    training = {"learning_rate": 3e-2}

    def trainable_parameters(self, shapes: Shapes) -> int:
        return self.num_virtual_tokens * shapes.hidden_size


METHOD = PromptTuning
