"""Files and texts that others wrote, read within bounds into plain values.

A spec, an import, an adapter's folder, a model's config: all are somebody else's word. They are
read from regular files of a bounded size, and stand for a bounded number of texts, numbers,
truth values, lists and mappings, all of which can be stored and shown. What is none of that
is `Unreadable`, with a reason that goes on from the name of the file: "is not valid JSON: ...".
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Hashable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from peftbench.errors import InvalidSpec

if TYPE_CHECKING:
    import pyarrow as pa

#: Of one file, in bytes: a folder of results may have many.
FILE_BYTES = 1 << 28
#: Lists within lists, and the digits of a whole number.
_DEPTH, _DIGITS = 100, 100
#: Reading YAML takes some ten microseconds for each, and an alias stands for many values.
_YAML_CHARACTERS, _YAML_VALUES = 1 << 20, 100_000
#: What a packed file may come to: so many bytes, or so many times its own size.
_UNPACKED_BYTES, _UNPACKED_TIMES = 1 << 28, 100
TOO_LARGE = f"holds {_UNPACKED_TIMES} times its own size and more, unpacked"
#: Of a Parquet file, read at a time: few, for each may be as large as the whole.
_PARQUET_ROWS = 256
#: No number that is measured is larger, and sums and squares of these are numbers too.
_LARGEST = 1e100
#: Half of a character cannot be written, and no path holds a zero byte.
_HALF, _HALF_OR_ZERO = re.compile("[\ud800-\udfff]"), re.compile("[\0\ud800-\udfff]")


class Unreadable(ValueError):
    """Why a file or a text is not taken; goes on from its name."""


def path_of(text: str) -> Path:
    """The path that somebody wrote, `~` being their home; raises `InvalidSpec`."""
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise InvalidSpec(f"{text}: there is no such user here.") from error


def file_bytes(
    path: Path, *, within: Path | None = None, at_most: int = FILE_BYTES
) -> bytes:
    """A regular file's content; with `within` it has to lie in that folder, links followed.

    Raises `Unreadable`, and for a pipe or a device too: nothing is waited for.
    """
    try:
        if within is not None and not path.resolve().is_relative_to(within.resolve()):
            raise Unreadable(
                f"is a link that leads out of {within}, to {path.resolve()}. Copy the folder "
                "with the files that its links lead to (`cp -rL`) and give the copy"
            )
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as stream:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise Unreadable("is no regular file, but a folder, a pipe or a device")
            found = stream.read(at_most + 1)
    except OSError as error:
        raise Unreadable(f"cannot be read: {error.strerror}") from error
    if len(found) > at_most:
        raise Unreadable(f"has more than {at_most:,} bytes, the most that are read of it")
    return found


def file_text(path: Path, *, within: Path | None = None, at_most: int = FILE_BYTES) -> str:
    """A regular file's content as UTF-8 text; raises `Unreadable`."""
    try:
        return file_bytes(path, within=within, at_most=at_most).decode("utf-8")
    except UnicodeDecodeError as error:
        raise Unreadable(
            f"is not UTF-8 text (byte {error.start}); save it as UTF-8"
        ) from error


def json_value(text: str | bytes) -> Any:
    """The plain value of a JSON text; raises `Unreadable`."""
    try:
        found = json.loads(text, parse_int=_whole, parse_constant=_no_number)
        _check_plain(found, _HALF)
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"is not valid JSON: {_first_line(error)}") from error
    return found


def yaml_value(text: str) -> Any:
    """The plain value of a YAML text, of which no key stands twice; raises `Unreadable`.

    Dates and times stay text. An anchor may be used again while the whole stays small.
    """
    if len(text) > _YAML_CHARACTERS:
        raise Unreadable(f"has more than {_YAML_CHARACTERS:,} characters of YAML")
    try:
        found = yaml.load(text, _PlainLoader)
        _check_plain(found, _HALF_OR_ZERO)
    except yaml.YAMLError as error:
        raise Unreadable(f"is not valid YAML: {error}") from error
    except (ValueError, RecursionError, TypeError) as error:
        raise Unreadable(f"is not valid YAML: {_first_line(error)}") from error
    return found


def unpacked_bytes(packed: int) -> int:
    """What the content of a packed file of this size may come to: text is seldom packed to a
    tenth of itself, and a file that was made to fill the memory to a thousandth."""
    return max(_UNPACKED_BYTES, _UNPACKED_TIMES * packed)


def parquet_batches(
    path: Path, columns: Sequence[str] | None = None
) -> Iterator[pa.RecordBatch]:
    """The rows of a Parquet file; raises `Unreadable` where they are too large, unpacked, and
    what pyarrow raises where it is none."""
    import pyarrow.parquet

    left = unpacked_bytes(path.stat().st_size)
    with pyarrow.parquet.ParquetFile(path) as file:  # `read_table` imports pandas first
        for batch in file.iter_batches(_PARQUET_ROWS, columns=columns):
            left -= batch.nbytes
            if left < 0:
                raise Unreadable(TOO_LARGE)
            yield batch


def _check_plain(value: Any, refused: re.Pattern[str]) -> None:
    """Raise `ValueError` for a value that cannot be stored as JSON, and for texts with a
    character that is refused."""
    todo = [(value, 0)]
    while todo:
        one, depth = todo.pop()
        if depth > _DEPTH:
            raise ValueError(f"it is nested more than {_DEPTH} deep")
        match one:
            case str():
                if refused.search(one):
                    raise ValueError(
                        f"{one!r:.60} holds half of a character or a zero byte"
                    )
            case bool() | None:
                pass
            case int() | float():
                if not abs(one) <= _LARGEST:  # NaN neither
                    raise ValueError(f"{one:g} is no number that can be kept")
            case list() | tuple():
                todo.extend((part, depth + 1) for part in one)
            case dict():
                todo.extend((part, depth + 1) for part in one.values())
                todo.extend((key, depth + 1) for key in one)
            case _:
                raise ValueError(f"{one!r:.60} is no text, number, list or mapping")


def _whole(digits: str) -> int:
    _check_digits(digits.lstrip("-"))
    return int(digits)


def _check_digits(digits: str) -> None:
    """Not for more than can be kept: reading them takes time with their square."""
    if len(digits) > _DIGITS:
        raise ValueError(f"a whole number of {len(digits)} digits is none that can be kept")


def _no_number(word: str) -> float:
    raise ValueError(f"{word} is no number in JSON")


def _first_line(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deep"
    return str(error).partition("\n")[0]


class _PlainLoader(yaml.SafeLoader):
    """YAML of plain values, in which a key stands once: a second one would silently win."""

    def construct_mapping(
        self, node: yaml.MappingNode, deep: bool = False
    ) -> dict[Hashable, Any]:
        """As in the base class; raises `yaml.YAMLError` for a repeated key."""
        seen: set[str] = set()
        for key, _ in node.value:
            if key.tag == "tag:yaml.org,2002:str" and key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r} stands there twice", key.start_mark
                )
            seen.add(key.value if isinstance(key.value, str) else repr(key))
        return super().construct_mapping(node, deep)

    def construct_document(self, node: yaml.Node) -> Any:
        """As in the base class, once it is known what the aliases come to: merging them
        alone can take minutes."""
        _check_size(node)
        return super().construct_document(node)

    def construct_number(self, node: yaml.ScalarNode) -> float | str:
        """As in the base class, for what is written as everywhere else: no 1_0 for 10, and
        1:30 is text."""
        text = str(node.value)
        if ":" in text:
            return text
        if "_" in text:
            raise ValueError(f"{text} is no number: write it without the underscore")
        if node.tag.endswith("float"):
            return float(self.construct_yaml_float(node))
        _check_digits(text.lstrip("+-0"))
        return int(self.construct_yaml_int(node))


def _check_size(root: yaml.Node) -> None:
    """Raise `ValueError` where nodes, those behind an alias counted each time, are too many
    or hold themselves."""
    sizes: dict[yaml.Node, int | None] = {}

    def size(node: yaml.Node) -> int:
        if node not in sizes:
            sizes[node] = None  # being counted
            parts = node.value if isinstance(node, yaml.CollectionNode) else ()
            flat = (
                one for part in parts for one in (part if type(part) is tuple else (part,))
            )
            sizes[node] = 1 + sum(map(size, flat))
        found = sizes[node]
        if found is None:
            raise ValueError("an anchor stands for a part of itself")
        return found

    if size(root) > _YAML_VALUES:
        raise ValueError(f"it stands for more than {_YAML_VALUES:,} values")


_TAG = "tag:yaml.org,2002:"
for _kind in ("int", "float"):
    _PlainLoader.add_constructor(f"{_TAG}{_kind}", _PlainLoader.construct_number)
_PlainLoader.add_constructor(f"{_TAG}timestamp", lambda _, node: str(node.value))
for _kind in ("binary", "omap", "pairs", "set"):
    del _PlainLoader.yaml_constructors[
        f"{_TAG}{_kind}"
    ]  # a copy, since the first was added
