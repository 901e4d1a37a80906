"""Training data for a start that is computed from data: what EVA, CorDA and LoRA-GA share."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import nn

    from peftbench.encoding.batches import Batch
    from peftbench.methods._hook import RunContext


def rows(context: RunContext, limit: int) -> Iterator[torch.Tensor]:
    """Inputs of the first training examples, (1, length) each, without their padding."""
    return islice((row for batch in context.batches() for row in _unpadded(batch)), limit)


def rows_and_prompts(context: RunContext) -> Iterator[tuple[list[int], list[int]]]:
    """Inputs of the training examples without padding, and their prompts alone."""
    for batch in context.batches():
        for row, answers in zip(_unpadded(batch), batch.answers, strict=True):
            ids = row[0].tolist()
            yield ids, ids[: int(answers.int().argmax()) + 1]


def is_text(batch: Batch) -> torch.Tensor:
    """(rows, length), True where the input is no padding: up to its last answer."""
    import torch

    length = batch.input_ids.shape[1]
    last = length - 1 - batch.answers.flip(1).int().argmax(1)
    return torch.arange(length, device=last.device) <= last[:, None]


def loss(model: nn.Module, batch: Batch) -> torch.Tensor:
    """Mean loss per answer token, that of training."""
    from torch.nn.functional import cross_entropy

    device = next(model.parameters()).device
    logits = model(input_ids=batch.input_ids.to(device), use_cache=False).logits
    return cross_entropy(logits[batch.answers].float(), batch.targets.to(device))


def _unpadded(batch: Batch) -> Iterator[torch.Tensor]:
    for ids, text in zip(batch.input_ids, is_text(batch), strict=True):
        yield ids[text][None]


def tokens(context: RunContext, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The first `count` tokens of the training examples, one after another, and which of them
    belong to an answer: (count,) each. Short data is read again from the start."""
    import torch

    ids: list[torch.Tensor] = []
    answered: list[torch.Tensor] = []
    found = 0
    while found < count:
        for batch in context.batches():
            text = is_text(batch)
            answer = torch.zeros_like(batch.answers)
            answer[:, 1:] = batch.answers[
                :, :-1
            ]  # a token is one where the last one asks for it
            ids.append(batch.input_ids[text])
            answered.append(answer[text])
            found += len(ids[-1])
            if found >= count:
                break
    return torch.cat(ids)[:count], torch.cat(answered)[:count]
