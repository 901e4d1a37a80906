"""Where a task's rows come from: a program, a folder, or the Hugging Face hub."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import itertools
import json
import zlib
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, cast

from peftbench.errors import DataError
from peftbench.reading import TOO_LARGE, Unreadable, parquet_batches, unpacked_bytes
from peftbench.tasks._task import SPLITS, Row, Split, Task

if TYPE_CHECKING:
    from datasets import Dataset

#: Endings of a split's file, with the hub's own field names inside.
SUFFIXES = (".jsonl.gz", ".jsonl", ".parquet")


#: Characters that a field of a CSV file may have: the most that the module can count.
_LONGEST_FIELD = 2**31 - 1

#: Hears of a line that cannot be used.
Complain = Callable[[DataError], None]


def _raise(error: DataError) -> None:
    raise error


@dataclass(frozen=True, kw_only=True)
class SplitRows:
    """The rows of one split, and where each of them stands."""

    rows: Sequence[Row]
    origin: str
    lines: Sequence[int] | None = None  # of a text file, counted from 1

    def place(self, index: int) -> str:
        """Where the row at `index` is: file and line, or the row's number from 1."""
        if self.lines is None:
            return f"{self.origin}, row {index + 1}"
        return f"{self.origin}:{self.lines[index]}"


class Source(Protocol):
    """Rows by split. All errors are `DataError`s."""

    @property
    def description(self) -> str:
        """What people read: "generated", "folder", "hub openai/gsm8k"."""

    @property
    def identity(self) -> str:
        """What the rows are, down to their bytes: part of a cell's id."""

    @property
    def splits(self) -> Collection[Split]:
        """The splits there are rows for."""

    def read(self, split: Split) -> SplitRows:
        """The rows of one split, in their own order."""

    @property
    def further_tests(self) -> Collection[str]:
        """Those of `Task.further_tests` that there are rows for."""

    def read_further(self, test: str) -> SplitRows | None:
        """The rows of one of `Task.further_tests`; None where they are not to be had."""


def find_source(name: str, task: Task, data_dir: Path | None) -> Source:
    """The source of a task's rows.

    A generated task makes its own, and one described in YAML may name its own files. Others
    are read from `data_dir` if one is given, and only then not from the hub. Raises
    `DataError` if the folder lacks the task.
    """
    if task.generate is not None:
        return GeneratedSource(task)
    if task.own_files:
        return FolderSource(task.own_files)
    if data_dir is None:
        return HubSource(task)
    return FolderSource.find(name, data_dir, tuple(task.further_tests))


@dataclass(frozen=True)
class GeneratedSource:
    """Rows that the task's own program makes, the same ones every time."""

    task: Task
    description = "generated"
    splits: Collection[Split] = SPLITS

    @property
    def identity(self) -> str:
        """A program's rows change only with the task's version."""
        return f"generated v{self.task.version}"

    def read(self, split: Split) -> SplitRows:
        """Make the rows of one split."""
        assert self.task.generate is not None
        return SplitRows(rows=self.task.generate(split), origin=f"generated {split}")

    @property
    def further_tests(self) -> Collection[str]:
        """None."""
        return ()

    def read_further(self, test: str) -> SplitRows | None:  # noqa: ARG002
        """A program makes the three splits and no other rows."""
        return None


@dataclass(frozen=True)
class FolderSource:
    """Rows in files of a folder, one for each split, and one for each further test that is
    there, such as `test_mismatched.jsonl.gz`."""

    files: Mapping[Split, Path]
    further: Mapping[str, Path] = field(default_factory=dict)
    description = "folder"

    @property
    def splits(self) -> Collection[Split]:
        """Those that there are files for."""
        return self.files.keys()

    @classmethod
    def find(
        cls, name: str, data_dir: Path, further_tests: Sequence[str] = ()
    ) -> FolderSource:
        """The files of one task in `data_dir`."""
        folder = data_dir / name
        layout = f"{folder}/{{{','.join(SPLITS)}}}{SUFFIXES[0]}"
        if not folder.is_dir():
            found = "is not a folder"
            if data_dir.is_dir():
                holds = sorted(path.name for path in data_dir.iterdir() if path.is_dir())
                found = f"has no folder {name!r} (it holds: {', '.join(holds) or 'none'})"
            raise DataError(
                f"No rows for the task {name!r}: {data_dir} {found}. Expected {layout}, or "
                f"the same with {' or '.join(SUFFIXES[1:])}. Put the files there, name "
                "another folder with --data-dir, or leave it (and PEFTBENCH_DATA_DIR) out "
                "to load the task from the Hugging Face hub."
            )
        further = {test: _files_of(folder, f"test_{test}") for test in further_tests}
        return cls(
            {split: _split_file(folder, split, layout) for split in SPLITS},
            {test: files[0] for test, files in further.items() if files},
        )

    @property
    def identity(self) -> str:
        """Digest of the files."""
        total = hashlib.sha256()
        for split, path in (*self.files.items(), *self.further.items()):
            stat = path.stat()
            digest = _file_digest(path, stat.st_size, stat.st_mtime_ns)
            total.update(f"{split} {digest}\n".encode())
        return f"sha256:{total.hexdigest()}"

    def read(self, split: Split, complain: Complain = _raise) -> SplitRows:
        """Read the file of one split. Where `complain` does not raise the error it is
        handed, reading goes on behind the line that cannot be used."""
        return _read_file(self.files[split], complain)

    @property
    def further_tests(self) -> Collection[str]:
        """Those that there are files for."""
        return self.further.keys()

    def read_further(self, test: str) -> SplitRows | None:
        """Read the file of one further test, if it is there."""
        return _read_file(self.further[test]) if test in self.further else None


@dataclass(frozen=True)
class HubSource:
    """Rows of a dataset on the Hugging Face hub, at the revision that the task pins."""

    task: Task

    @property
    def description(self) -> str:
        """The hub's id of the dataset."""
        return f"hub {self.task.hub_id}"

    @property
    def identity(self) -> str:
        """The commit stands for the bytes."""
        if self.task.hub_id is None or self.task.revision is None:
            raise DataError(
                "The task has no program that makes rows, and names no hub dataset with a "
                "pinned revision. Give it `hub_id` and `revision`, or give its rows in a "
                "folder with --data-dir."
            )
        return f"{self.task.hub_id}@{self.task.revision}"

    @property
    def splits(self) -> Collection[Split]:
        """Those that the task finds on the hub."""
        return self.task.splits.keys()

    def read(self, split: Split) -> SplitRows:
        """Download the dataset, or find it in the cache, and read one split."""
        return self._read(self.task.splits[split])

    @property
    def further_tests(self) -> Collection[str]:
        """All: the hub has them."""
        return self.task.further_tests.keys()

    def read_further(self, test: str) -> SplitRows | None:
        """Read another of the hub's splits."""
        return self._read(self.task.further_tests[test])

    def _read(self, expression: str) -> SplitRows:
        origin = f"{self.identity}, split {expression}"
        hub_id = str(self.task.hub_id)
        is_local = Path(hub_id).is_absolute()
        if not is_local and Path(hub_id).exists():
            # `datasets` would read the folder and never look at the revision.
            raise DataError(
                f"The folder {hub_id!r} in this directory hides the hub dataset of that "
                "name. Start from another directory, or use --data-dir."
            )
        try:
            if self.task.files:
                # Rows stay in the files until they are asked for: some tasks are large.
                rows = cast("Sequence[Row]", self._from_files(expression, is_local))
                return SplitRows(rows=rows, origin=origin)
            from datasets import load_dataset

            dataset = load_dataset(
                hub_id, self.task.subset, revision=self.task.revision, split=expression
            )
        except Exception as error:
            _explain_hub_error(error, self.task)
        if not is_local:
            _check_revision(dataset.cache_files, self.task)
        return SplitRows(rows=dataset.to_list(), origin=origin)

    def _from_files(self, expression: str, is_local: bool) -> Dataset:
        """The files that the task names, and nothing else of its repository."""
        from datasets import load_dataset
        from huggingface_hub import snapshot_download

        hub_id, split = str(self.task.hub_id), expression.partition("[")[0]
        pattern = self.task.files[split]
        folder = hub_id
        if not is_local:
            folder = snapshot_download(
                hub_id,
                repo_type="dataset",
                revision=self.task.revision,
                allow_patterns=[pattern],
            )
        builder = "parquet" if pattern.endswith(".parquet") else "json"
        files = {split: str(Path(folder) / pattern)}
        return load_dataset(builder, data_files=files, split=expression)


def _files_of(folder: Path, stem: str) -> list[Path]:
    """The one file of a split, or none."""
    found = [path for s in SUFFIXES if (path := folder / f"{stem}{s}").is_file()]
    if len(found) > 1:
        raise DataError(
            f"{folder} has {' and '.join(path.name for path in found)}: which of them is "
            f"the {stem} split? Keep one."
        )
    return found


def the_file(folder: Path, stem: str) -> Path | None:
    """The one file in `folder` that is called `stem`, but for its ending; None: none is."""
    found = _files_of(folder, stem)
    return found[0] if found else None


def _split_file(folder: Path, split: Split, layout: str) -> Path:
    found = _files_of(folder, split)
    if not found:
        holds = sorted(path.name for path in folder.iterdir())
        names = ", ".join(f"{split}{suffix}" for suffix in SUFFIXES)
        raise DataError(
            f"{folder} has no {split} split: none of {names} is "
            f"there (it holds: {', '.join(holds) or 'nothing'}). Expected {layout}."
        )
    return found[0]


@lru_cache
def _file_digest(path: Path, size: int, modified_ns: int) -> str:  # noqa: ARG001
    """Digest of a file; its size and time make a changed file a miss."""
    with _opened(path) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _opened(path: Path) -> BufferedReader:
    try:
        return path.open("rb")
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error


def _read_file(path: Path, complain: Complain = _raise) -> SplitRows:
    if path.suffix == ".parquet":
        return _read_parquet(path)
    return (
        _read_csv(path, complain)
        if path.suffix in (".csv", ".tsv")
        else _read_json_lines(path, complain)
    )


def _read_json_lines(path: Path, complain: Complain) -> SplitRows:
    rows, lines = [], []
    try:
        for number, line in _lines(path):
            if line.strip():
                try:
                    rows.append(_json_row(line, f"{path}:{number}"))
                    lines.append(number)
                except DataError as error:
                    complain(error)
    except DataError as error:  # the file ends before it should
        complain(error)
    return SplitRows(rows=rows, origin=str(path), lines=lines)


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    is_gzip = path.suffix == ".gz"
    with _opened(path) as file:
        stream = gzip.GzipFile(fileobj=file) if is_gzip else file
        left = unpacked_bytes(path.stat().st_size)
        try:
            for number in itertools.count(1):
                line = stream.readline(left + 1)
                left -= len(line)
                if left < 0:
                    raise _too_large(path)
                if not line:
                    return
                yield number, line
        except (OSError, EOFError, zlib.error) as error:
            what = "a whole gzip file" if is_gzip else "readable"
            raise DataError(
                f"{path} is not {what} ({error}): it may have been cut short on its way. "
                "Copy it again."
            ) from error


class _NamedTwice(Exception):
    """A name that stands twice where it must stand once."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; raises `_NamedTwice`, where `json` would keep the last value."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _NamedTwice(_twice([name for name, _ in pairs]))
    return found


def _twice(names: Iterable[str]) -> str:
    """The first name that is there more than once; "" where there is none. Columns without a
    name, which some programs leave behind the last one, are none."""
    return next((n for n, count in Counter(names).items() if n and count > 1), "")


def _too_large(path: Path) -> DataError:
    return DataError(
        f"{path} {TOO_LARGE}. If these really are rows, give them in a .jsonl file."
    )


def _json_row(line: bytes, place: str) -> Row:
    try:
        row = json.loads(line.decode("utf-8"), object_pairs_hook=_once)
    except UnicodeDecodeError as error:
        raise DataError(
            f"{place} is not UTF-8 (byte {error.start} of the line); save the file as "
            "UTF-8."
        ) from error
    except _NamedTwice as error:
        raise DataError(
            f"{place} names the field {str(error)!r} twice; which of them counts? Keep one."
        ) from error
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"{place} is not valid JSON ({error}); expected one JSON object on each line."
        ) from error
    if not isinstance(row, dict):
        raise DataError(
            f"{place} holds a JSON {type(row).__name__}; expected an object with the row's "
            "fields."
        )
    return row


def _read_csv(path: Path, complain: Complain) -> SplitRows:
    """Comma- or tab-separated text, the columns' names in its first line; all is text."""
    rows, lines = [], []
    bound = csv.field_size_limit(_LONGEST_FIELD)  # of the whole process, so it is put back
    separator = "\t" if path.suffix == ".tsv" else ","
    try:
        with _opened(path) as raw, io.TextIOWrapper(raw, "utf-8-sig", newline="") as text:
            reader = csv.DictReader(text, delimiter=separator, strict=True)
            if name := _twice(reader.fieldnames or ()):
                complain(DataError(_columns_named_twice(f"{path}:1", name)))
                return SplitRows(rows=[], origin=str(path), lines=[])
            for row in reader:
                if None in row or None in row.values():
                    complain(
                        DataError(
                            f"{path}:{reader.line_num} has not as many values as the first "
                            f"line has names ({', '.join(reader.fieldnames or ())}). Put "
                            "values with commas or line breaks in quotes."
                        )
                    )
                    continue
                rows.append(row)
                lines.append(reader.line_num)
    except UnicodeDecodeError:
        complain(DataError(f"{path} is not UTF-8; save the file as UTF-8."))
    except csv.Error as error:
        complain(DataError(f"{path}:{reader.line_num} is not valid CSV ({error})."))
    finally:
        csv.field_size_limit(bound)
    return SplitRows(rows=rows, origin=str(path), lines=lines)


def _read_parquet(path: Path) -> SplitRows:
    import pyarrow
    import pyarrow.parquet

    try:
        with _opened(path) as stream:
            if name := _twice(pyarrow.parquet.read_schema(stream).names):
                raise DataError(_columns_named_twice(str(path), name))
        rows = [row for batch in parquet_batches(path) for row in batch.to_pylist()]
    except Unreadable as error:
        raise _too_large(path) from error
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise DataError(f"{path} is not a whole Parquet file ({error}).") from error
    return SplitRows(rows=rows, origin=str(path))


def _columns_named_twice(place: str, name: str) -> str:
    return f"{place} names the column {name!r} twice; which of them counts? Rename or remove one."


def _check_revision(cache_files: Sequence[Mapping[str, Any]], task: Task) -> None:
    """Out of the hub's reach `datasets` takes any revision that is in its cache."""
    found = {Path(file["filename"]).parent.name for file in cache_files}
    if found - {task.revision}:
        raise DataError(
            f"The hub is out of reach, and the cache holds {task.hub_id} at the revision "
            f"{', '.join(sorted(found))}, not at {task.revision}, which the task pins. Run "
            "once where the hub can be reached, or give the rows in a folder with "
            "--data-dir."
        )


def _explain_hub_error(error: Exception, task: Task) -> NoReturn:
    """Say in which of many ways `datasets` failed, and what to do about it."""
    import datasets
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    hub_id, page = task.hub_id, f"https://huggingface.co/datasets/{task.hub_id}"
    # The hub's client library has changed its HTTP library before; any of them will do.
    is_transport = any(kind.__module__.startswith("httpx") for kind in type(error).__mro__)
    unreachable = (ConnectionError, TimeoutError, LocalEntryNotFoundError)
    if "gated dataset" in str(error):
        message = (
            f"{hub_id} is gated: accept its terms at {page} and log in with `hf auth login`"
        )
    elif isinstance(error, datasets.exceptions.DatasetNotFoundError):
        message = (
            f"The hub has no dataset {hub_id} at revision {task.revision}, or it is "
            f"private ({error}). Look at {page}; if it is private, log in with "
            "`hf auth login`"
        )
    elif isinstance(error, unreachable) and datasets.config.HF_HUB_OFFLINE:
        message = (
            f"{hub_id} is not in the local cache, and offline mode (HF_HUB_OFFLINE) keeps "
            "the hub out of reach. Switch it off and run once where there is a network"
        )
    elif isinstance(error, unreachable):
        message = (
            f"The hub cannot be reached for {hub_id}: no network, or no answer in time "
            f"({error}). Try again"
        )
    elif isinstance(error, HfHubHTTPError):
        message = f"The hub refused {hub_id} ({error}). Try again later"
    elif is_transport:
        message = f"The connection to the hub broke for {hub_id} ({error!r}). Try again"
    else:
        message = (
            f"{hub_id} at revision {task.revision} cannot be read as the task expects, "
            f"with subset {task.subset!r} and splits {dict(task.splits)} "
            f"({type(error).__name__}: {error}). Correct the task"
        )
    raise DataError(f"{message}, or give the rows in a folder with --data-dir.") from error
