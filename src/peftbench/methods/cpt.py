"""CPT: training examples stand before the input, and their embeddings are refined a little."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from peftbench.methods._calibrate import tokens
from peftbench.methods._settings import positive, whole
from peftbench.methods._virtual_tokens import EmbeddedPrompt
from peftbench.models import Shapes

if TYPE_CHECKING:
    import torch
    from peft import PeftConfig, PeftModel
    from torch import nn
    from transformers import PreTrainedModel

    from peftbench.methods._hook import RunContext

_INPUT, _ANSWER = 2, 4  # kinds of tokens, as peft counts them


@dataclass(frozen=True, kw_only=True)
class Cpt(EmbeddedPrompt):
    """Context-aware prompt tuning (Blau et al., 2024, arXiv:2410.17222).

    Computes ``f([E(c) + D; E(x)])`` with E(c): (num_virtual_tokens, hidden), frozen, the embeddings
    of the first training examples, and D: (num_virtual_tokens, hidden), zero at the start. After
    every step each row of D is cut to length ``epsilon * sqrt(hidden / 2048)``; rows of the
    examples' answers stay zero. The loss is that of the task alone, without the paper's on the
    examples' own answers.
    Trains ``num_virtual_tokens * hidden`` parameters. The logits of an adapted model have
    `num_virtual_tokens` positions more, at the front. `attach`, which sees no data, stands the
    first tokens of the vocabulary before the input.
    """

    num_virtual_tokens: int = whole(64, hint="try 32 to 256")
    epsilon: float = positive(0.1, hint="try 0.01 to 1")

    title = "CPT"
    placement = "embeddings, before the input's"
    paper = "Blau et al., 2024, arXiv:2410.17222"
    defaults_from = "epsilon 0.1: Blau et al. and peft; 64 tokens are ours"
    identity_at_start = False  # the examples are attended to
    mergeable = False
    zeros_will_do = True
    budget_knob = "num_virtual_tokens"
    #: Ours: the length of the change is bounded, so a few steps reach it.
    training = {"learning_rate": 1e-3}

    def trainable_parameters(self, shapes: Shapes) -> int:
        return self.num_virtual_tokens * shapes.hidden_size

    def config(self, model: PreTrainedModel) -> PeftConfig:
        vocabulary = model.get_input_embeddings().num_embeddings
        ids = [i % vocabulary for i in range(self.num_virtual_tokens)]
        return self._config(ids, [_INPUT] * self.num_virtual_tokens)

    def attach_for(self, model: PreTrainedModel, context: RunContext) -> nn.Module:
        """With the first examples."""
        ids, answers = tokens(context, self.num_virtual_tokens)
        kinds = [_ANSWER if answer else _INPUT for answer in answers.tolist()]
        adapted: nn.Module = self._wrap(model, self._config(ids.tolist(), kinds))
        return adapted

    def _config(self, ids: list[int], kinds: list[int]) -> PeftConfig:
        import peft

        return peft.CPTConfig(
            task_type="CAUSAL_LM",
            num_virtual_tokens=self.num_virtual_tokens,
            cpt_token_ids=ids,
            cpt_mask=[1] * len(ids),
            cpt_tokens_type_mask=kinds,
            opt_projection_epsilon=self.epsilon,
        )

    def _wrap(self, model: PreTrainedModel, config: PeftConfig) -> PeftModel:
        adapted = super()._wrap(model, config)
        _cut_once(adapted.prompt_encoder["default"])
        return adapted


def _cut_once(encoder: Any) -> None:
    """Leave alone rows that were cut before. `peft` cuts at every forward pass, and a row
    that rounding leaves a little too long moves a little each time, in evaluation too."""
    import torch

    cut = encoder.get_projection

    @torch.no_grad()
    def get_projection() -> torch.Tensor:
        weight = encoder.delta_embedding.weight
        bound = encoder.get_epsilon().to(weight.device) * (1 + 1e-5)
        is_longer = weight.norm(dim=1) > bound
        return torch.where(is_longer[:, None], cut(), weight)

    encoder.get_projection = get_projection


METHOD = Cpt
