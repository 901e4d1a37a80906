"""Prompt tuning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from peftbench.errors import InvalidSpec
from peftbench.methods._method import Family, PeftMethod, check_positive

if TYPE_CHECKING:
    from peft import PeftConfig
    from torch import nn
    from transformers import PreTrainedModel

    from peftbench.models._shapes import Shapes


@dataclass(frozen=True, kw_only=True)
class PromptTuning(PeftMethod):
    """Trained embeddings before the input (Lester et al., 2021, arXiv:2104.08691).

    The model reads ``[p; x]`` with p: (num_virtual_tokens, hidden) trained.
    Adds ``num_virtual_tokens * hidden`` trainable parameters.
    """

    num_virtual_tokens: int = 20
    initial: Literal["vocabulary", "random"] = "vocabulary"

    family: ClassVar[Family] = "soft prompt"
    paper: ClassVar[str] = "Lester et al., 2021, arXiv:2104.08691"
    defaults_from: ClassVar[str] = (
        "start at the embeddings of random words, and rate 0.3: the paper, section 3 "
        "(with Adafactor; 3e-2 is its counterpart for AdamW); 20 tokens: section 3.2"
    )
    identity_at_start: ClassVar[bool] = False  # the model reads other tokens before x
    mergeable: ClassVar[bool] = False
    training: ClassVar[Mapping[str, Any]] = {"learning_rate": 3e-2}

    def __post_init__(self) -> None:
        check_positive("Prompt tuning", num_virtual_tokens=self.num_virtual_tokens)
        if self.initial not in ("vocabulary", "random"):
            raise InvalidSpec(
                f'Prompt tuning: initial is "vocabulary" or "random", got {self.initial!r}.'
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
            prompt_tuning_init="RANDOM",
        )

    def attach(self, model: PreTrainedModel) -> nn.Module:
        """See `Method.attach`. Only a new prompt starts at vocabulary embeddings: one
        that is loaded stays as it was trained."""
        import torch

        adapted = super().attach(model)
        if self.initial == "vocabulary":
            prompt: Any = adapted.prompt_encoder.default.embedding  # type: ignore[union-attr]
            vocabulary: Any = model.get_input_embeddings()
            words = torch.randint(vocabulary.num_embeddings, (self.num_virtual_tokens,))
            with torch.no_grad():
                prompt.weight.copy_(vocabulary.weight[words.to(vocabulary.weight.device)])
        return adapted


METHOD = PromptTuning
