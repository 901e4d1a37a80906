"""Where rows come from: a program, a folder, or the Hugging Face hub.

A folder holds `<task>/{train,validation,test}` as .jsonl.gz, .jsonl or .parquet, with
the hub's own field names. Nothing here imports torch.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peftbench.errors import DataError
from peftbench.tasks._task import SPLITS, Row, Split, Task

_SUFFIXES = (".jsonl.gz", ".jsonl", ".parquet")


@dataclass(frozen=True)
class Located:
    """A row and where it stands, for error messages."""

    row: Row
    place: str  # "sst2/train.jsonl.gz:17"


def files(name: str, data_dir: Path) -> dict[Split, Path]:
    """The file of each split in a folder; raises `DataError` if one is missing."""
    folder = data_dir / name
    if not folder.is_dir():
        raise DataError(
            f"{data_dir} has no folder {name!r}. Expected {name}/train.jsonl.gz, "
            "validation.jsonl.gz and test.jsonl.gz (or .jsonl, .parquet) with the hub's field "
            "names. Without --data-dir the rows come from the Hugging Face hub."
        )
    found: dict[Split, Path] = {}
    for split in SPLITS:
        candidates = [folder / f"{split}{suffix}" for suffix in _SUFFIXES]
        path = next((path for path in candidates if path.is_file()), None)
        if path is None:
            raise DataError(
                f"{folder} has no {split} split: expected {split}.jsonl.gz, .jsonl or .parquet."
            )
        found[split] = path
    return found


def folder_identity(name: str, data_dir: Path) -> str:
    """Digest of a task's files: other rows make another cell."""
    total = hashlib.sha256()
    for split, path in files(name, data_dir).items():
        with path.open("rb") as stream:
            total.update(
                f"{split} {hashlib.file_digest(stream, 'sha256').hexdigest()}\n".encode()
            )
    return f"sha256:{total.hexdigest()}"


def read_file(path: Path) -> list[Located]:
    """All rows of one file; raises `DataError` with file and line."""
    if path.suffix == ".parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"{path} is not a readable Parquet file: {error}") from error
        return [Located(row, f"{path}, row {i}") for i, row in enumerate(rows, 1)]
    return list(_json_lines(path))


def _json_lines(path: Path) -> Iterator[Located]:
    number = 0
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rt", encoding="utf-8") as stream:
            for number, line in enumerate(stream, 1):
                row = json.loads(line)
                if not isinstance(row, dict):
                    raise DataError(
                        f"{path}:{number}: expected a JSON object, got {line[:40]!r}."
                    )
                yield Located(row, f"{path}:{number}")
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(
            f"{path} is not a whole gzip file ({error}); copy or download it again."
        ) from error
    except json.JSONDecodeError as error:
        raise DataError(f"{path}:{number}: not valid JSON ({error}).") from error
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}, after line {number}: not UTF-8 text; save it as UTF-8."
        ) from error


def read_hub(task: Task, split_expression: str) -> list[Located]:
    """Rows of one split expression from the hub, or from the local cache of it."""
    import datasets

    instead = "Or point --data-dir at a folder that holds the rows."
    try:
        loaded = datasets.load_dataset(
            task.hub_id, task.subset, revision=task.revision, split=split_expression
        )
    except Exception as error:
        raise DataError(f"{_hub_trouble(task, error)} {instead}") from error
    place = f"{task.hub_id}[{split_expression}]"
    return [Located(dict(row), f"{place}, row {i}") for i, row in enumerate(loaded, 1)]


def _hub_trouble(task: Task, error: Exception) -> str:
    """Say which of the many things went wrong; `datasets` wraps them in one another."""
    chain: list[BaseException] = [error]
    while (inner := chain[-1].__cause__ or chain[-1].__context__) and len(chain) < 8:
        chain.append(inner)
    kinds = " ".join(type(link).__name__ for link in chain)
    text = " ".join(str(link) for link in chain).lower()
    name = f"{task.hub_id} ({task.subset})" if task.subset else str(task.hub_id)
    if "Gated" in kinds or "gated" in text:
        return f"{name} is gated: accept its terms on its hub page and run `hf auth login`."
    if "Offline" in kinds or "offline" in text:
        return f"{name} is not in the local cache, and the hub is switched off (HF_HUB_OFFLINE)."
    if "Timeout" in kinds or "Connect" in kinds or "connection" in text:
        return f"{name}: the hub is out of reach ({type(error).__name__}: {error})."
    if "NotFound" in kinds or "doesn't exist" in text:
        return f"{name} is not on the hub at revision {task.revision}."
    return f"{name} does not load from the hub ({type(error).__name__}: {error})."


def generated_rows(name: str, task: Task, split: Split) -> Sequence[Located]:
    """Rows made by the task's own program."""
    if task.generate is None:
        raise DataError(f"{name} has no generator.")
    return [
        Located(row, f"{name}/{split}, row {i}")
        for i, row in enumerate(task.generate(split), 1)
    ]
