"""Soft prompts stand before the input: their positions under left padding."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from types import MethodType
from typing import TYPE_CHECKING, Any

from peftbench.methods._method import PeftMethod

if TYPE_CHECKING:
    from peft import PeftConfig, PeftModel
    from transformers import PreTrainedModel


@dataclass(frozen=True, kw_only=True)
class EmbeddedPrompt(PeftMethod):
    """A soft prompt before the input's embeddings."""

    family = "soft prompt"

    def _wrap(self, model: PreTrainedModel, config: PeftConfig) -> PeftModel:
        adapted = super()._wrap(model, config)
        count_positions_from_mask(adapted)
        return adapted


def count_positions_from_mask(adapted: PeftModel) -> None:
    """Make generation from left-padded batches agree with generation one by one.

    `peft` 0.21 drops the position ids of prompt-learning methods when it generates, so that
    padding counts as distance between the virtual tokens and the text, and a row's answer
    depends on how long its neighbours are. Here positions are counted over the attention
    mask, virtual tokens included, as they are in training.
    """
    adapted.prepare_inputs_for_generation = MethodType(
        _prepare_inputs_for_generation, adapted
    )


def _prepare_inputs_for_generation(
    adapted: PeftModel, *args: Any, **kwargs: Any
) -> dict[str, Any]:
    # transformers reads this signature: only one with `kwargs` may be given any input.
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Position ids are not supported")
        inputs: dict[str, Any] = type(adapted).prepare_inputs_for_generation(
            adapted, *args, **kwargs
        )
    mask = inputs.get("attention_mask")
    if mask is not None and mask.dim() == 2:
        embedded = inputs.get("inputs_embeds")
        length = (inputs["input_ids"] if embedded is None else embedded).shape[1]
        positions = (mask.long().cumsum(dim=-1) - 1).clamp(min=0)
        inputs["position_ids"] = positions[:, -length:]
    return inputs
