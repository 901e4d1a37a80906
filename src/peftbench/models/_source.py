"""From a model's name to the bytes it stands for, without importing torch.

A name is that of an embedded model (`tiny`), a folder in Hugging Face format, or an id
on the hub. A hub model is pinned to a commit before anything runs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, NoReturn

from peftbench.errors import ModelError, UnknownName
from peftbench.reading import Unreadable, file_text, json_value, path_of
from peftbench.spec.benchmark import ModelChoice

_EMBEDDED = Path(__file__).parent
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "spiece.model")
_IDENTITY_SUFFIXES = {".json", ".safetensors", ".model", ".jinja", ".txt"}
#: What shapes, FLOPs and memory are computed from, and the most that a config may say.
_SIZES = (
    "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "head_dim",
    "num_attention_heads", "num_key_value_heads", "max_position_embeddings", "n_embd",
    "n_layer", "n_head", "n_inner", "n_positions",
)  # fmt: skip
_LARGEST, _DEEPEST = 100_000_000, 10_000
_INSTEAD = "or give the path of a folder that holds the model"


@dataclass(frozen=True)
class ModelSource:
    """A model that exists, down to its bytes."""

    name: str
    location: str  # a folder, or the hub id
    revision: str | None  # the commit of a hub model
    identity: str  # "sha256:<digest of the folder's files>" or "<hub id>@<commit>"
    config_path: Path

    @property
    def written_name(self) -> str:
        """What adapters write down as their base: the hub's id, else the digest of its files.
        A path would make other bytes of the same adapter on every machine."""
        return self.identity if self.revision is None else self.location

    @cached_property
    def config(self) -> Mapping[str, Any]:
        """The model's config.json."""
        config: dict[str, Any] = json_value(file_text(self.config_path))
        return config


def names() -> tuple[str, ...]:
    """The models that come with the package."""
    return tuple(sorted(path.parent.name for path in _EMBEDDED.glob("*/config.json")))


def resolve(choice: ModelChoice) -> ModelSource:
    """Find the model that was asked for; raises `ModelError` before anything is loaded."""
    return _resolve(choice, weights=True)


def resolve_config(choice: ModelChoice) -> ModelSource:
    """As `resolve`, where a config is enough: weights and tokenizer may be missing."""
    return _resolve(choice, weights=False)


def _resolve(choice: ModelChoice, *, weights: bool) -> ModelSource:
    is_embedded = choice.name in names()
    folder = _EMBEDDED / choice.name if is_embedded else path_of(choice.name)
    if folder.is_dir():
        if choice.revision is not None:
            raise ModelError(
                f"{choice.name} is a folder and has no revisions; leave out the revision "
                f"{choice.revision!r}."
            )
        source = _local(choice.name, folder, weights=weights)
    elif choice.name.count("/") == 1 and not choice.name.startswith((".", "/", "~")):
        source = _hub(choice.name, choice.revision, weights=weights)
    elif "/" in choice.name:
        raise ModelError(
            f"No model folder {choice.name!r}: is the path right? A hub id has the form "
            "owner/name."
        )
    else:
        raise UnknownName("model", choice.name, names())
    _check_config(source)
    return source


def _local(name: str, folder: Path, *, weights: bool = True) -> ModelSource:
    files = {path.name: path for path in sorted(folder.iterdir()) if path.is_file()}
    if "config.json" not in files:
        raise ModelError(
            f"{folder} has no config.json; a model folder is what `save_pretrained` of "
            "transformers writes."
        )
    if weights:
        _check_files(str(folder), files.keys())
    stamp = tuple(
        (name, path.stat().st_size, path.stat().st_mtime_ns)
        for name, path in files.items()
        if path.suffix in _IDENTITY_SUFFIXES
    )
    identity = f"sha256:{_digest(folder, stamp)}"
    return ModelSource(name, str(folder), None, identity, folder / "config.json")


def _check_files(shown: str, files: Collection[str]) -> None:
    """Refuse a model without safetensors or tokenizer, by the names of its files."""
    if not any(file.endswith(".safetensors") for file in files):
        raise ModelError(
            f"{shown} has no safetensors weights. Pickled weights can run code and are "
            "not read: convert them with `model.save_pretrained(folder)`."
        )
    if not set(files).intersection(_TOKENIZER_FILES):
        raise ModelError(
            f"{shown} has no tokenizer (looked for {', '.join(_TOKENIZER_FILES)}); save it "
            "there with `tokenizer.save_pretrained(folder)`."
        )


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


def _hub(name: str, revision: str | None, *, weights: bool = True) -> ModelSource:
    """Pin a hub model to a commit: its config is fetched, or found in the local cache."""
    from huggingface_hub import hf_hub_download

    try:
        config = Path(hf_hub_download(name, "config.json", revision=revision))
    except Exception as error:
        _explain_hub_error(error, name, revision)
    commit = config.parent.name
    if weights:
        _check_files(name, _hub_files(name, commit, config.parent))
    return ModelSource(name, name, commit, f"{name}@{commit}", config)


def _hub_files(name: str, commit: str, snapshot: Path) -> Collection[str]:
    """The files of a hub model; out of the hub's reach, those in the local cache."""
    from huggingface_hub import HfApi

    try:
        return HfApi().list_repo_files(name, revision=commit)
    except Exception as error:
        cached = [path.name for path in snapshot.iterdir()]
        if any(file.endswith(".safetensors") for file in cached):
            return cached
        raise ModelError(
            f"The local cache holds the config of {name} and not its weights, and the hub "
            f"is out of reach ({error}). Fetch them where there is a network with "
            f"`hf download {name}`, {_INSTEAD}."
        ) from error


def _explain_hub_error(error: Exception, name: str, revision: str | None) -> NoReturn:
    """Say in which of many ways the hub failed, and what to do about it."""
    from huggingface_hub.errors import (
        EntryNotFoundError,
        GatedRepoError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    cause = error.__cause__ or error
    timed_out = "Timeout" in type(cause).__name__  # of the client's HTTP library
    fetch = f"Fetch it where there is a network with `hf download {name}`"
    if isinstance(error, GatedRepoError):
        message = (
            f"{name} is gated: accept its terms at https://huggingface.co/{name} and log in "
            "with `hf auth login`"
        )
    elif isinstance(error, RevisionNotFoundError):
        message = f"{name} has no revision {revision!r} on the hub: correct it"
    elif isinstance(error, RepositoryNotFoundError):
        message = (
            f"{name} is not on the hub, or is private: check the id, log in with "
            "`hf auth login`"
        )
    elif isinstance(error, LocalEntryNotFoundError) and isinstance(
        cause, OfflineModeIsEnabled
    ):
        message = (
            f"{name} is not in the local cache, and offline mode (HF_HUB_OFFLINE) keeps the "
            f"hub out of reach. {fetch}"
        )
    elif isinstance(error, LocalEntryNotFoundError) or timed_out:
        why = "the hub did not answer in time" if timed_out else "the hub cannot be reached"
        message = f"{name} is not in the local cache, and {why} ({cause}). {fetch}"
    elif isinstance(error, EntryNotFoundError):
        message = f"{name} has no config.json on the hub, so it is no model: check the id"
    else:
        message = f"The hub did not answer for {name} ({type(error).__name__}: {error}). Try again"
    raise ModelError(f"{message}, {_INSTEAD}.") from error


def _check_config(source: ModelSource) -> None:
    try:
        config = source.config
    except Unreadable as error:
        raise ModelError(f"{source.config_path} {error}.") from error
    if not isinstance(config, dict):
        raise ModelError(
            f"{source.config_path} holds a JSON {type(config).__name__}; a model's config is "
            "an object."
        )
    for name in _SIZES:
        value = config.get(name)
        if value is not None and (type(value) is not int or not 0 < value <= _LARGEST):
            raise ModelError(
                f"{source.config_path}: {name} is {value!r}; expected a whole number from 1 "
                f"to {_LARGEST:,}."
            )
    if (layers := config.get("num_hidden_layers", config.get("n_layer")) or 1) > _DEEPEST:
        raise ModelError(
            f"{source.config_path}: a model of {layers:,} layers; expected {_DEEPEST:,} at most."
        )
    architectures = config.get("architectures") or []
    if not isinstance(architectures, list) or not all(
        type(n) is str for n in architectures
    ):
        raise ModelError(
            f"{source.config_path}: architectures is {architectures!r}; expected a list of names."
        )
    if architectures and not any(
        name.endswith(("ForCausalLM", "LMHeadModel")) for name in architectures
    ):
        raise ModelError(
            f"{source.name} is not a causal language model: its config names "
            f"{', '.join(architectures)}. Use a model whose architecture ends in ForCausalLM."
        )
