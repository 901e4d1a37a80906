"""From a model's name to the bytes it stands for, without importing torch.

A name is that of an embedded model (`tiny`), a folder in Hugging Face format, or an id
on the hub. A hub model is pinned to a commit before anything runs.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from peftbench.errors import ModelError, UnknownName
from peftbench.spec.benchmark import ModelChoice

_EMBEDDED = Path(__file__).parent
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "spiece.model")
_IDENTITY_SUFFIXES = {".json", ".safetensors", ".model", ".jinja", ".txt"}


@dataclass(frozen=True)
class ModelSource:
    """A model that exists, down to its bytes."""

    name: str
    location: str  # a folder, or the hub id
    revision: str | None  # the commit of a hub model
    identity: str  # "sha256:<digest of the folder's files>" or "<hub id>@<commit>"
    config_path: Path

    @cached_property
    def config(self) -> Mapping[str, Any]:
        """The model's config.json."""
        config: dict[str, Any] = json.loads(self.config_path.read_text("utf-8"))
        return config


def names() -> tuple[str, ...]:
    """The models that come with the package."""
    return tuple(sorted(path.parent.name for path in _EMBEDDED.glob("*/config.json")))


def resolve(choice: ModelChoice) -> ModelSource:
    """Find the model that was asked for; raises `ModelError` before anything is loaded."""
    folder = _EMBEDDED / choice.name if choice.name in names() else Path(choice.name)
    if folder.is_dir():
        source = _local(choice.name, folder)
    elif choice.name.count("/") == 1 and not choice.name.startswith((".", "/", "~")):
        source = _hub(choice.name, choice.revision)
    elif "/" in choice.name:
        raise ModelError(
            f"No model folder {choice.name!r}: is the path right? A hub id has the form "
            "owner/name."
        )
    else:
        raise UnknownName("model", choice.name, names())
    _check_config(source)
    return source


def _local(name: str, folder: Path) -> ModelSource:
    files = {path.name for path in folder.iterdir()}
    if "config.json" not in files:
        raise ModelError(
            f"{folder} has no config.json; a model folder is what `save_pretrained` of "
            "transformers writes."
        )
    if not any(file.endswith(".safetensors") for file in files):
        raise ModelError(
            f"{folder} has no safetensors weights. Pickled weights can run code and are "
            "not read: convert them with `model.save_pretrained(folder)`."
        )
    if not files.intersection(_TOKENIZER_FILES):
        raise ModelError(
            f"{folder} has no tokenizer (looked for {', '.join(_TOKENIZER_FILES)}); save it "
            "there with `tokenizer.save_pretrained(folder)`."
        )
    stamp = tuple(
        (path.name, path.stat().st_size, path.stat().st_mtime_ns)
        for path in sorted(folder.iterdir())
        if path.suffix in _IDENTITY_SUFFIXES
    )
    identity = f"sha256:{_digest(folder, stamp)}"
    return ModelSource(name, str(folder), None, identity, folder / "config.json")


@lru_cache
def _digest(folder: Path, stamp: tuple[tuple[str, int, int], ...]) -> str:
    """Digest of the folder's files; `stamp` makes a changed file a miss."""
    total = hashlib.sha256()
    for file, _, _ in stamp:
        with (folder / file).open("rb") as stream:
            total.update(
                f"{file} {hashlib.file_digest(stream, 'sha256').hexdigest()}\n".encode()
            )
    return total.hexdigest()


def _hub(name: str, revision: str | None) -> ModelSource:
    """Pin a hub model to a commit: its config is fetched, or found in the local cache."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import (
        EntryNotFoundError,
        GatedRepoError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    instead = "or give the path of a folder that holds the model"
    try:
        config = Path(hf_hub_download(name, "config.json", revision=revision))
    except GatedRepoError as error:
        raise ModelError(
            f"{name} is gated: accept its terms on its hub page and log in with "
            f"`hf auth login`, {instead}."
        ) from error
    except RevisionNotFoundError as error:
        raise ModelError(f"{name} has no revision {revision!r} on the hub.") from error
    except RepositoryNotFoundError as error:
        raise ModelError(
            f"{name} is not on the hub, or is private: check the id, log in with "
            f"`hf auth login`, {instead}."
        ) from error
    except LocalEntryNotFoundError as error:
        raise ModelError(
            f"{name} is not in the local cache and the hub is out of reach (offline mode, "
            f"no network or a time-out). Fetch it where there is a network with "
            f"`hf download {name}`, {instead}."
        ) from error
    except EntryNotFoundError as error:
        raise ModelError(f"{name} has no config.json on the hub: not a model.") from error
    except Exception as error:
        raise ModelError(
            f"The hub did not answer for {name} ({type(error).__name__}: {error}). Try "
            f"again, {instead}."
        ) from error
    commit = config.parent.name
    return ModelSource(name, name, commit, f"{name}@{commit}", config)


def _check_config(source: ModelSource) -> None:
    try:
        architectures = source.config.get("architectures") or []
    except (ValueError, AttributeError) as error:
        raise ModelError(f"{source.config_path} is not valid JSON: {error}") from error
    if architectures and not any(
        name.endswith(("ForCausalLM", "LMHeadModel")) for name in architectures
    ):
        raise ModelError(
            f"{source.name} is not a causal language model: its config names "
            f"{', '.join(architectures)}. Use a model whose architecture ends in ForCausalLM."
        )
