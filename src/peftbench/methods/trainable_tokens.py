"""Trainable tokens: the embeddings of a few tokens, those the task uses most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from peftbench.methods._method import PeftMethod
from peftbench.methods._settings import whole
from peftbench.models import Shapes

if TYPE_CHECKING:
    from peft import PeftConfig
    from torch import nn
    from transformers import PreTrainedModel

    from peftbench.methods._hook import RunContext


@dataclass(frozen=True, kw_only=True)
class TrainableTokens(PeftMethod):
    """Embeddings of chosen tokens (the `trainable_tokens` of huggingface/peft, 2025).

    Computes ``E(x) + D(x)`` with E: (vocabulary, hidden), frozen, and D zero but for num_tokens
    rows, which are trained; where the output layer is tied to the embeddings, it changes with them.
    The tokens are those that are most frequent in the training data, ties broken by number.
    Trains ``num_tokens * hidden`` parameters, at most the vocabulary. Saved are the tokens'
    original embeddings too. `attach`, which sees no data, takes the first of the vocabulary.
    """

    num_tokens: int = whole(100, hint="try 10 to 1000")

    title = "Trainable tokens"
    family = "selective"
    placement = "embeddings of frequent tokens"
    paper = "trainable tokens of huggingface/peft, 2025"
    defaults_from = (
        "ours: as many as prompt tuning has; peft leaves the choice of tokens to the user"
    )
    identity_at_start = True
    mergeable = True
    budget_knob = "num_tokens"
    #: Ours, the lower end for soft prompts, which are embeddings too.
    training = {"learning_rate": 1e-3}

    def trainable_parameters(self, shapes: Shapes) -> int:
        return min(self.num_tokens, shapes.vocab_size) * shapes.hidden_size

    def stored_parameters(self, shapes: Shapes) -> int:
        """The change and the original."""
        return 2 * self.trainable_parameters(shapes)

    def config(self, model: PreTrainedModel) -> PeftConfig:
        count = min(self.num_tokens, model.get_input_embeddings().num_embeddings)
        return _config(list(range(count)))

    def attach_for(self, model: PreTrainedModel, context: RunContext) -> nn.Module:
        """The tokens that the data uses most."""
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
