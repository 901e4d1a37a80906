"""aLoRA: LoRA that is switched on by the end of the prompt, and off before it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from peftbench.errors import InvalidSpec
from peftbench.methods._calibrate import rows_and_prompts
from peftbench.methods.lora import Lora
from peftbench.models import Shapes

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel

    from peftbench.methods._hook import RunContext

#: Prompts that are compared, and the most tokens of their common end that are used.
_PROMPTS, _LONGEST = 256, 8


@dataclass(frozen=True, kw_only=True)
class Alora(Lora):
    """Activated LoRA (Greenewald et al., 2025, arXiv:2504.12397).

    Computes ``W x + (alpha / rank) * B A x`` for tokens from the last occurrence of the invocation
    on, and ``W x`` for those before, whose cache a base model can have computed. With W:
    (d_out, d_in), frozen, A: (rank, d_in), random, B: (d_out, rank), zero. The invocation is what
    all training prompts end with, at most eight tokens, unless invocation_tokens says it.
    Trains ``rank * (d_in + d_out)`` parameters per layer. `attach`, which sees no data, waits for
    token 0.
    """

    invocation_tokens: tuple[int, ...] | None = None

    title = "aLoRA"
    paper = "Greenewald et al., 2025, arXiv:2504.12397"
    defaults_from = "those of `lora`; Greenewald et al. use rank 32"
    mergeable = False  # the tokens before are the base's
    recomputes = False  # peft forgets where the invocation is when the pass is over
    zeros_will_do = True
    unsupported = {
        "opt": "its MLP sees all rows as one, and peft's aLoRA switches row by row"
    }
    #: That of `lora`.
    training = {"learning_rate": 2e-4}

    def __post_init__(self) -> None:
        super().__post_init__()
        tokens = self.invocation_tokens
        if tokens is None:
            return
        if (
            not isinstance(tokens, list | tuple)
            or not tokens
            or not all(isinstance(token, int) and token >= 0 for token in tokens)
        ):
            raise InvalidSpec(
                "aLoRA needs token ids as invocation_tokens, such as [1, 32001], got "
                f"{tokens!r}; null takes what all training prompts end with."
            )
        object.__setattr__(self, "invocation_tokens", tuple(tokens))

    def peft_fields(self, shapes: Shapes) -> dict[str, Any]:
        tokens = list(self.invocation_tokens or (0,))
        return super().peft_fields(shapes) | {"alora_invocation_tokens": tokens}

    def attach_for(self, model: PreTrainedModel, context: RunContext) -> nn.Module:
        """With the invocation that its data has; raises `InvalidSpec` where there is none."""
        config: Any = self.config(model)
        if self.invocation_tokens is None:
            prompts = [p for _, p in islice(rows_and_prompts(context), _PROMPTS)]
            config.alora_invocation_tokens = common_end(prompts)
        adapted: nn.Module = self._wrap(model, config)
        return adapted


def common_end(prompts: list[list[int]]) -> list[int]:
    """The tokens that all prompts end with, at most eight.

    >>> common_end([[5, 7, 8, 9], [6, 8, 9]])
    [8, 9]
    """
    shared: list[int] = []
    for tokens in islice(zip(*(reversed(p) for p in prompts), strict=False), _LONGEST):
        if len(set(tokens)) > 1:
            break
        shared.insert(0, tokens[0])
    if not shared:
        raise InvalidSpec(
            "aLoRA is switched on by what all prompts end with, and these have no common end. "
            "Name the tokens in invocation_tokens, or use another method."
        )
    return shared


METHOD = Alora
