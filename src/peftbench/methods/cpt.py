"""CPT: training examples stand before the input, and their embeddings are refined a little."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from peftbench.methods._calibrate import tokens
from peftbench.methods._method import Family, PeftMethod
from peftbench.methods._settings import check_whole, positive

if TYPE_CHECKING:
    import torch
    from peft import PeftConfig, PeftModel
    from torch import nn
    from transformers import PreTrainedModel

    from peftbench.methods._hook import RunContext
    from peftbench.models._shapes import Shapes

_INPUT, _ANSWER = 2, 4  # kinds of tokens, as peft counts them


@dataclass(frozen=True, kw_only=True)
class Cpt(PeftMethod):
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

    num_virtual_tokens: int = 64
    epsilon: float = 0.1

    family: ClassVar[Family] = "soft prompt"
    placement: ClassVar[str] = "embeddings, before the input's"
    paper: ClassVar[str] = "Blau et al., 2024, arXiv:2410.17222"
    defaults_from: ClassVar[str] = "epsilon 0.1: Blau et al. and peft; 64 tokens are ours"
    identity_at_start: ClassVar[bool] = False  # the examples are attended to
    mergeable: ClassVar[bool] = False
    zeros_will_do: ClassVar[bool] = True
    budget_knob: ClassVar[str | None] = "num_virtual_tokens"
    #: Ours: the length of the change is bounded, so a few steps reach it.
    training: ClassVar[Mapping[str, Any]] = {"learning_rate": 1e-3}

    def __post_init__(self) -> None:
        check_whole("CPT", "num_virtual_tokens", self.num_virtual_tokens, "try 32 to 256")
        value = positive("CPT", "epsilon", self.epsilon, "try 0.01 to 1")
        object.__setattr__(self, "epsilon", value)

    def trainable_parameters(self, shapes: Shapes) -> int:
        """``num_virtual_tokens * hidden``."""
        return self.num_virtual_tokens * shapes.hidden_size

    def config(self, model: PreTrainedModel) -> PeftConfig:
        """See `PeftMethod.config`."""
        vocabulary = model.get_input_embeddings().num_embeddings
        ids = [i % vocabulary for i in range(self.num_virtual_tokens)]
        return self._config(ids, [_INPUT] * self.num_virtual_tokens)

    def attach_for(self, model: PreTrainedModel, context: RunContext) -> nn.Module:
        """See `Method.attach_for`: the examples."""
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
        from peftbench.methods._virtual_tokens import count_positions_from_mask

        adapted = super()._wrap(model, config)
        count_positions_from_mask(adapted)
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
