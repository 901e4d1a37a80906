"""Multitask prompt tuning, with one task: a soft prompt scaled by a low-rank matrix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from peftbench.methods._settings import whole
from peftbench.methods._virtual_tokens import EmbeddedPrompt
from peftbench.models import Shapes

if TYPE_CHECKING:
    from peft import PeftConfig, PeftModel
    from torch import nn
    from transformers import PreTrainedModel


@dataclass(frozen=True, kw_only=True)
class Mpt(EmbeddedPrompt):
    """A shared prompt times a task's own matrix (Wang et al., 2023, arXiv:2303.02861).

    Computes ``f([P o (u v^T); E(x)])`` with P: (num_virtual_tokens, hidden), shared by all tasks,
    u: (num_virtual_tokens, rank) and v: (rank, hidden), the task's. Here is one task, of number
    0, trained from scratch: the paper's second stage without the distillation of its first.
    Trains ``num_virtual_tokens * (hidden + rank) + rank * hidden`` parameters. The logits of an
    adapted model have `num_virtual_tokens` positions more, at the front.
    """

    num_virtual_tokens: int = whole(100, peft="num_virtual_tokens", hint="try 10 to 100")
    rank: int = whole(1, peft="num_ranks", hint="try 1 to 8")

    title = "MPT"
    tuner = "MultitaskPromptTuningConfig"
    fixed = {"num_tasks": 1}
    placement = "embeddings, before the input's"
    paper = "Wang et al., 2023, arXiv:2303.02861"
    defaults_from = "Wang et al.: 100 tokens, rank 1"
    identity_at_start = False  # the virtual tokens are attended to
    mergeable = False
    budget_knob = "num_virtual_tokens"
    #: That of `prompt-tuning`; Wang et al. use Adafactor with 0.3.
    training = {"learning_rate": 3e-2}

    def trainable_parameters(self, shapes: Shapes) -> int:
        n, d, r = self.num_virtual_tokens, shapes.hidden_size, self.rank
        return n * d + n * r + r * d

    def _wrap(self, model: PreTrainedModel, config: PeftConfig) -> PeftModel:
        adapted = super()._wrap(model, config)
        for encoder in adapted.prompt_encoder.values():
            encoder.register_forward_pre_hook(_with_task)
        return adapted


def _with_task(_encoder: nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """Every row is of task 0, the only one."""
    indices, *_ = arguments
    return indices, indices.new_zeros(len(indices))


METHOD = Mpt
