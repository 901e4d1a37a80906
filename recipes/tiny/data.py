"""The corpus in tokens: what is trained on, and what is held out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from recipes.tiny import corpus
from recipes.tiny.evaluate import HeldOut, Tokens
from recipes.tiny.recipe import Recipe
from transformers import PreTrainedTokenizerBase

#: So many held-out stories are enough to measure on.
_HELD_OUT_STORIES = 1000


@dataclass(frozen=True)
class Data:
    """Documents in tokens, by source."""

    training: dict[corpus.Source, list[Tokens]]
    held_out: dict[corpus.Source, HeldOut]

    @property
    def training_tokens(self) -> dict[corpus.Source, int]:
        """How many tokens there are to train on, end tokens included."""
        return {source: sum(map(len, some)) for source, some in self.training.items()}


def documents(recipe: Recipe) -> list[corpus.Document]:
    """All documents: the standard library's, then the stories."""
    stories = corpus.stories(f"tiny {recipe.seed}")
    return [*corpus.standard_library(), *islice(stories, recipe.stories)]


def in_tokens(found: Sequence[corpus.Document], tokenizer: PreTrainedTokenizerBase) -> Data:
    """Every document between its begin and end tokens."""
    training: dict[corpus.Source, list[Tokens]] = {s: [] for s in corpus.SOURCES}
    held_out: dict[corpus.Source, list[corpus.Document]] = {s: [] for s in corpus.SOURCES}
    for first in range(0, len(found), 10_000):
        some = found[first : first + 10_000]
        encoded = tokenizer([document.text for document in some], verbose=False).input_ids
        for document, ids in zip(some, encoded, strict=True):
            if document.is_held_out:
                held_out[document.source].append(document)
            else:
                tokens = np.array([*ids, tokenizer.eos_token_id], dtype=np.int16)
                training[document.source].append(tokens)
    held_out["generated"] = held_out["generated"][:_HELD_OUT_STORIES]
    return Data(
        training, {source: held(some, tokenizer) for source, some in held_out.items()}
    )


def held(some: Sequence[corpus.Document], tokenizer: PreTrainedTokenizerBase) -> HeldOut:
    """Documents to measure on."""
    encoded = tokenizer([document.text for document in some], verbose=False).input_ids
    return HeldOut(
        [np.array([*ids, tokenizer.eos_token_id]) for ids in encoded],
        sum(len(document.text.encode()) for document in some),
    )
