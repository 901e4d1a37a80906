"""A model's tokenizer, which can be had without its weights."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from peftbench.errors import ModelError
from peftbench.models._source import ModelSource

if TYPE_CHECKING:
    from transformers import GenerationConfig, PreTrainedTokenizerBase


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
        path = Path(source.location) / name
        if source.revision is not None:
            from huggingface_hub import hf_hub_download
            from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

            try:
                path = Path(
                    hf_hub_download(source.location, name, revision=source.revision)
                )
            except (EntryNotFoundError, LocalEntryNotFoundError):
                continue
        if path.is_file():
            yield path.read_text("utf-8")


def own_decoding(source: ModelSource) -> GenerationConfig:
    """What the model's own `generation_config.json` says, or, where it has none, its config:
    what `transformers` gives a loaded model. We take the end tokens from it alone."""
    from transformers import GenerationConfig

    try:
        return GenerationConfig.from_pretrained(source.location, revision=source.revision)
    except OSError:
        return GenerationConfig(eos_token_id=source.config.get("eos_token_id"))
