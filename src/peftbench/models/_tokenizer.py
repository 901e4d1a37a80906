"""A model's tokenizer, which can be had without its weights."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from peftbench.errors import ModelError
from peftbench.models._source import ModelSource

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def load_tokenizer(source: ModelSource) -> PreTrainedTokenizerBase:
    """The tokenizer; raises `ModelError` where it does not load. No code is run that comes
    with it."""
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(
            source.location, revision=source.revision, trust_remote_code=False
        )
    except Exception as error:
        raise ModelError(
            f"The tokenizer of {source.name} does not load: {error}"
        ) from error
    if tokenizer.pad_token_id is None:
        # Padding is never attended to, so any token will do.
        tokenizer.pad_token_id = tokenizer.eos_token_id or 0
    return tokenizer


def template_texts(source: ModelSource) -> Iterator[str]:
    """The files in which a chat template may stand, as text, read without loading anything."""
    for name in ("chat_template.jinja", "chat_template.json", "tokenizer_config.json"):
        if (text := _file_text(source, name)) is not None:
            yield text


def end_tokens(source: ModelSource) -> Any:
    """The tokens that end an answer by the model's own `generation_config.json`, or, where it
    has none, by its config: an id, several, or None, as a loaded model has them."""
    text = _file_text(source, "generation_config.json")
    settings = source.config if text is None else json.loads(text)
    return settings.get("eos_token_id")


def _file_text(source: ModelSource, name: str) -> str | None:
    """A file of the model; None where it has none of this name."""
    path = Path(source.location) / name
    if source.revision is not None:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import EntryNotFoundError

        try:
            path = Path(hf_hub_download(source.location, name, revision=source.revision))
        except EntryNotFoundError:  # also where it is not in the cache, and out of reach
            return None
    return path.read_text("utf-8") if path.is_file() else None
