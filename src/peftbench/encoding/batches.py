"""Which examples meet in which step, and how they lie in a tensor."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from peftbench.encoding.encode import Encoded
from peftbench.spec import Training

#: Batches are cut from pools of so many batches, sorted by length: little padding, and
#: yet nearly any two examples can meet.
_POOL = 32


def order_generator(seed: int, task: str, epoch: int) -> np.random.Generator:
    """Randomness of the data order: of the seed and the task, never of the method."""
    name = f"peftbench order|{seed}|{task}|{epoch}".encode()
    return np.random.default_rng(int.from_bytes(hashlib.sha256(name).digest()[:16]))


def epoch_batches(
    lengths: Sequence[int], batch_size: int, generator: np.random.Generator
) -> list[list[int]]:
    """A random partition of all examples into batches of similar lengths."""
    order = generator.permutation(len(lengths)).tolist()
    batches = []
    for start in range(0, len(order), batch_size * _POOL):
        pool = sorted(order[start : start + batch_size * _POOL], key=lambda i: -lengths[i])
        batches += [pool[at : at + batch_size] for at in range(0, len(pool), batch_size)]
    return [batches[i] for i in generator.permutation(len(batches))]


def total_steps(training: Training, examples: int) -> int:
    """Optimiser steps of one run."""
    per_epoch = math.ceil(examples / training.batch_size)
    # Rounded first: 1.1 epochs of 50 batches are 55 steps, not 55.00000000000001.
    return training.steps or max(1, math.ceil(round(training.epochs * per_epoch, 6)))


def plan_batches(
    lengths: Sequence[int], training: Training, *, seed: int, task: str
) -> list[list[int]]:
    """The examples of every step of a run.

    The longest batch of the first epoch comes first: what does not fit into memory
    fails at once, not after hours.
    """
    steps = total_steps(training, len(lengths))
    planned: list[list[int]] = []
    epoch = 0
    while len(planned) < steps:
        generator = order_generator(seed, task, epoch)
        batches = epoch_batches(lengths, training.batch_size, generator)
        if epoch == 0:
            longest = max(batches, key=lambda batch: max(lengths[i] for i in batch))
            batches.remove(longest)
            batches.insert(0, longest)
        planned += batches
        epoch += 1
    return planned[:steps]


@dataclass(frozen=True)
class Batch:
    """Right-padded rows. Under a causal mask, padding on the right needs no mask.

    input_ids: (rows, length).  answers: (rows, length), True where the next token is
    one of the completion's.  targets: (answers.sum(),), those next tokens, row by row.
    """

    input_ids: torch.Tensor
    answers: torch.Tensor
    targets: torch.Tensor

    @classmethod
    def of(cls, rows: Sequence[Encoded], pad_id: int, device: torch.device) -> Batch:
        """Lay out encoded examples; the end token is a target and never an input."""
        length = max(len(row) - 1 for row in rows)
        input_ids = torch.full((len(rows), length), pad_id)
        answers = torch.zeros(len(rows), length, dtype=torch.bool)
        targets: list[int] = []
        for i, row in enumerate(rows):
            ids = (*row.prompt, *row.completion)[:-1]
            input_ids[i, : len(ids)] = torch.tensor(ids)
            answers[i, len(row.prompt) - 1 : len(ids)] = True
            targets += row.completion
        return cls(
            input_ids.to(device), answers.to(device), torch.tensor(targets, device=device)
        )


def micro_batches(rows: Sequence[Encoded], size: int) -> Iterator[Sequence[Encoded]]:
    """Cut a batch into parts of at most `size` rows."""
    for start in range(0, len(rows), size):
        yield rows[start : start + size]
