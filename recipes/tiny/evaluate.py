"""Perplexity on held-out documents, of the model and of two that know less."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional
from transformers import PreTrainedModel

#: Tokens of one document, begin and end tokens included.
Tokens = np.ndarray


@dataclass(frozen=True)
class HeldOut:
    """Held-out documents of one source."""

    documents: Sequence[Tokens]
    bytes: int  # of their text, as UTF-8

    @property
    def predicted(self) -> int:
        """Tokens that are predicted: all but the begin tokens."""
        return sum(len(tokens) - 1 for tokens in self.documents)

    def figures(self, nats: float) -> dict[str, float]:
        """Perplexity per token (the end token included) and bits per byte."""
        return {
            "perplexity": round(math.exp(nats / self.predicted), 3),
            "bits_per_byte": round(nats / math.log(2) / self.bytes, 3),
        }


@torch.no_grad()
def model_nats(model: PreTrainedModel, held_out: HeldOut, window: int) -> float:
    """Sum of -log p over all documents, read in windows that overlap by one token."""
    model.eval()
    pieces = [
        torch.from_numpy(tokens[start : start + window].astype(np.int64))
        for tokens in held_out.documents
        for start in range(0, len(tokens) - 1, window - 1)
    ]
    pieces.sort(key=len)
    total = 0.0
    for first in range(0, len(pieces), 16):
        batch = torch.nn.utils.rnn.pad_sequence(
            pieces[first : first + 16], batch_first=True, padding_value=-100
        ).to(model.device)
        logits = model(batch[:, :-1].clamp(min=0)).logits.float()
        total += functional.cross_entropy(
            logits.flatten(0, 1), batch[:, 1:].flatten(), ignore_index=-100, reduction="sum"
        ).item()
    return total


def unigram_nats(frequencies: np.ndarray, held_out: HeldOut) -> float:
    """Sum of -log p if every token is drawn by its frequency in the training text."""
    surprise = -np.log(frequencies)
    return float(sum(surprise[tokens[1:]].sum() for tokens in held_out.documents))


def unigram_frequencies(
    training: Mapping[str, Sequence[Tokens]], shares: Mapping[str, float], vocab_size: int
) -> np.ndarray:
    """Token frequencies of the training mix, one added to each count."""
    mixed = np.zeros(vocab_size)
    for source, documents in training.items():
        counts = np.bincount(np.concatenate(documents), minlength=vocab_size) + 1.0
        mixed += shares[source] * counts / counts.sum()
    return mixed
