"""Perplexity on held-out documents, of the tiny model and of two that know less.

`python -m recipes.tiny.evaluate` measures the model that is in the package again, on the
standard library of the Python that runs it, and prints the table of its card. That takes
about two minutes. With `--write` the card and `metrics.json` say so.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn import functional
from transformers import PreTrainedModel

if TYPE_CHECKING:
    from recipes.tiny.data import Data
    from recipes.tiny.recipe import Recipe

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


def compare(
    model: PreTrainedModel, untrained: PreTrainedModel, data: Data, recipe: Recipe
) -> dict[str, dict[str, Any]]:
    """By source: how much was held out, and the figures of all three models."""
    frequencies = unigram_frequencies(data.training, dict(recipe.shares), recipe.vocab_size)
    window = recipe.final_length
    return {
        source: {
            "tokens": test.predicted,
            "bytes": test.bytes,
            "trained": test.figures(model_nats(model, test, window)),
            "untrained": test.figures(model_nats(untrained, test, window)),
            "unigram": test.figures(unigram_nats(frequencies, test)),
        }
        for source, test in data.held_out.items()
    }


def main() -> None:
    """Measure the model in the package."""
    from recipes.tiny import card
    from recipes.tiny.data import documents, in_tokens
    from recipes.tiny.recipe import METRICS, MODEL, Recipe
    from transformers import AutoModelForCausalLM, AutoTokenizer

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    recipe = Recipe()
    data = in_tokens(documents(recipe), AutoTokenizer.from_pretrained(MODEL))
    model = AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.float32)
    figures = compare(model, recipe.untrained_model(), data, recipe)
    print(card.table(figures))
    if given.write:
        metrics = json.loads(METRICS.read_text("utf-8")) | {"held_out": figures}
        METRICS.write_text(json.dumps(metrics, indent=2) + "\n", "utf-8")
        card.write()


if __name__ == "__main__":
    main()
