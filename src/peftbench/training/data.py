"""What one run is trained on: examples in tokens, in the order of its steps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from peftbench.encoding.batches import Batch, micro_batches, plan_batches
from peftbench.encoding.encode import Encoded
from peftbench.methods import RunContext
from peftbench.spec import Training


@dataclass(frozen=True)
class TrainingData:
    """Examples and the batches that they are cut into. Draws no global random numbers."""

    examples: Sequence[Encoded]
    batches: Sequence[Sequence[int]]  # of every step, the places of its examples
    training: Training
    pad_id: int
    device: torch.device

    @classmethod
    def planned(
        cls,
        examples: Sequence[Encoded],
        training: Training,
        *,
        seed: int,
        task: str,
        pad_id: int,
        device: torch.device | None = None,
    ) -> TrainingData:
        """`examples` in the order that `seed` and `task` stand for."""
        lengths = [len(example) for example in examples]
        batches = plan_batches(lengths, training, seed=seed, task=task)
        where = device or torch.device("cpu")
        return cls(examples, batches, training, pad_id, where)

    @property
    def context(self) -> RunContext:
        """What the method may know of the run."""
        return RunContext(len(self.batches), self.training, self._laid_out)

    def _laid_out(self) -> Iterator[Batch]:
        """The batches, in parts as large as the run's micro-batches may be."""
        size = self.training.micro_batch_size or self.training.batch_size
        for batch in self.batches:
            for part in micro_batches([self.examples[i] for i in batch], size):
                yield Batch.of(part, self.pad_id, self.device)
