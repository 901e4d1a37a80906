"""Trainable tokens: the embeddings of a few tokens, those the task uses most."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from peftbench.methods._method import Family, PeftMethod
from peftbench.methods._settings import check_whole

if TYPE_CHECKING:
    from peft import PeftConfig
    from torch import nn
    from transformers import PreTrainedModel

    from peftbench.methods._hook import RunContext
    from peftbench.models._shapes import Shapes


@dataclass(frozen=True, kw_only=True)
class TrainableTokens(PeftMethod):
    """Embeddings of chosen tokens (the `trainable_tokens` of huggingface/peft, 2025).

    Computes ``E(x) + D(x)`` with E: (vocabulary, hidden), frozen, and D zero but for num_tokens
    rows, which are trained; where the output layer is tied to the embeddings, it changes with them.
    The tokens are those that are most frequent in the training data, ties broken by number.
    Trains ``num_tokens * hidden`` parameters, at most the vocabulary. Saved are the tokens'
    original embeddings too. `attach`, which sees no data, takes the first of the vocabulary.
    """

    num_tokens: int = 100

    family: ClassVar[Family] = "selective"
    placement: ClassVar[str] = "embeddings of frequent tokens"
    paper: ClassVar[str] = "trainable tokens of huggingface/peft, 2025"
    defaults_from: ClassVar[str] = (
        "ours: as many as prompt tuning has; peft leaves the choice of tokens to the user"
    )
    identity_at_start: ClassVar[bool] = True
    mergeable: ClassVar[bool] = True
    budget_knob: ClassVar[str | None] = "num_tokens"
    #: Ours, the lower end for soft prompts, which are embeddings too.
    training: ClassVar[Mapping[str, Any]] = {"learning_rate": 1e-3}

    def __post_init__(self) -> None:
        check_whole("Trainable tokens", "num_tokens", self.num_tokens, "try 10 to 1000")

    def trainable_parameters(self, shapes: Shapes) -> int:
        """See the class."""
        return min(self.num_tokens, shapes.vocab_size) * shapes.hidden_size

    def stored_parameters(self, shapes: Shapes) -> int:
        """The change and the original."""
        return 2 * self.trainable_parameters(shapes)

    def config(self, model: PreTrainedModel) -> PeftConfig:
        """See `PeftMethod.config`."""
        count = min(self.num_tokens, model.get_input_embeddings().num_embeddings)
        return _config(list(range(count)))

    def attach_for(self, model: PreTrainedModel, context: RunContext) -> nn.Module:
        """See `Method.attach_for`: the tokens that the data uses most."""
        import torch

        from peftbench.methods._calibrate import is_text

        size = model.get_input_embeddings().num_embeddings
        counts = torch.zeros(size, dtype=torch.int64)
        for batch in context.batches():
            counts += torch.bincount(batch.input_ids[is_text(batch)], minlength=size).cpu()
        order = counts.argsort(descending=True, stable=True)
        chosen = sorted(order[: min(self.num_tokens, size)].tolist())
        adapted: nn.Module = self._wrap(model, _config(chosen))
        return adapted


def _config(tokens: list[int]) -> PeftConfig:
    import peft

    return peft.TrainableTokensConfig(task_type="CAUSAL_LM", token_indices=tokens)


METHOD = TrainableTokens
