"""Multitask prompt tuning, with one task: a soft prompt scaled by a low-rank matrix."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from peftbench.methods._method import Family, PeftMethod
from peftbench.methods._settings import check_whole

if TYPE_CHECKING:
    from peft import PeftConfig, PeftModel
    from torch import nn
    from transformers import PreTrainedModel

    from peftbench.models._shapes import Shapes


@dataclass(frozen=True, kw_only=True)
class Mpt(PeftMethod):
    """A shared prompt times a task's own matrix (Wang et al., 2023, arXiv:2303.02861).

    Computes ``f([P o (u v^T); E(x)])`` with P: (num_virtual_tokens, hidden), shared by all tasks,
    u: (num_virtual_tokens, rank) and v: (rank, hidden), the task's. Here is one task, of number
    0, trained from scratch: the paper's second stage without the distillation of its first.
    Trains ``num_virtual_tokens * (hidden + rank) + rank * hidden`` parameters. The logits of an
    adapted model have `num_virtual_tokens` positions more, at the front.
    """

    num_virtual_tokens: int = 100
    rank: int = 1

    family: ClassVar[Family] = "soft prompt"
    placement: ClassVar[str] = "embeddings, before the input's"
    paper: ClassVar[str] = "Wang et al., 2023, arXiv:2303.02861"
    defaults_from: ClassVar[str] = "Wang et al.: 100 tokens, rank 1"
    identity_at_start: ClassVar[bool] = False  # the virtual tokens are attended to
    mergeable: ClassVar[bool] = False
    budget_knob: ClassVar[str | None] = "num_virtual_tokens"
    #: That of `prompt-tuning`; Wang et al. use Adafactor with 0.3.
    training: ClassVar[Mapping[str, Any]] = {"learning_rate": 3e-2}

    def __post_init__(self) -> None:
        check_whole("MPT", "num_virtual_tokens", self.num_virtual_tokens, "try 10 to 100")
        check_whole("MPT", "rank", self.rank, "try 1 to 8")

    def trainable_parameters(self, shapes: Shapes) -> int:
        """See the class."""
        n, d, r = self.num_virtual_tokens, shapes.hidden_size, self.rank
        return n * d + n * r + r * d

    def config(self, model: PreTrainedModel) -> PeftConfig:  # noqa: ARG002
        """See `PeftMethod.config`."""
        import peft

        return peft.MultitaskPromptTuningConfig(
            task_type="CAUSAL_LM",
            num_virtual_tokens=self.num_virtual_tokens,
            num_ranks=self.rank,
            num_tasks=1,
        )

    def _wrap(self, model: PreTrainedModel, config: PeftConfig) -> PeftModel:
        from peftbench.methods._virtual_tokens import count_positions_from_mask

        adapted = super()._wrap(model, config)
        count_positions_from_mask(adapted)
        for encoder in adapted.prompt_encoder.values():
            encoder.register_forward_pre_hook(_with_task)
        return adapted


def _with_task(_encoder: nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """Every row is of task 0, the only one."""
    indices, *_ = arguments
    return indices, indices.new_zeros(len(indices))


METHOD = Mpt
