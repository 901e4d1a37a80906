"""Reading files that other tools wrote. All errors are `DataError`s that name the file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from peftbench.errors import DataError
from peftbench.reading import Unreadable, file_bytes, file_text, json_value, yaml_value


def folder(path: Path, expected: str) -> Path:
    """The folder to read, resolved; raises where there is none."""
    if not path.is_dir():
        what = "is a file" if path.exists() else "does not exist"
        raise DataError(f"{path} {what}; give a folder with {expected}.")
    return path.resolve()


def read_json(path: Path, within: Path) -> Mapping[str, Any]:
    """A JSON object. The file has to lie in the folder `within`, as for all of these."""
    try:
        found = json_value(file_text(path, within=within))
    except Unreadable as error:
        raise DataError(f"{path} {error}.") from error
    return _mapping(path, found)


def read_yaml(path: Path, within: Path) -> Mapping[str, Any]:
    """A YAML mapping."""
    try:
        found = yaml_value(file_text(path, within=within))
    except Unreadable as error:
        raise DataError(f"{path} {error}.") from error
    return _mapping(path, json.loads(json.dumps(found)))  # names are texts, 1 too


def read_rows(path: Path, within: Path, fields: Sequence[str]) -> list[Mapping[str, Any]]:
    """JSON objects, one a line, each with text in `fields`."""
    rows: list[Mapping[str, Any]] = []
    try:
        text = file_text(path, within=within)
    except Unreadable as error:
        raise DataError(f"{path} {error}.") from error
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        place = f"{path}:{number}"
        try:
            row = json_value(line)
        except Unreadable as error:
            raise DataError(
                f"{place} {error}; the file may have been cut short."
            ) from error
        if not isinstance(row, dict):
            raise DataError(f"{place} holds no JSON object.")
        wrong = [name for name in fields if not isinstance(row.get(name), str)]
        if wrong:
            raise DataError(
                f"{place} has no text in {' and '.join(map(repr, wrong))}; it has "
                f"{', '.join(row) or 'nothing'}."
            )
        rows.append(row)
    if not rows:
        raise DataError(f"{path} has no rows.")
    return rows


def digest(path: Path, within: Path) -> str:
    """SHA-256 of a file's bytes."""
    try:
        return hashlib.sha256(file_bytes(path, within=within)).hexdigest()
    except Unreadable as error:
        raise DataError(f"{path} {error}.") from error


def whole(found: Mapping[str, Any], name: str) -> int | None:
    """The whole number under a name; None where there is none."""
    value = found.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


@contextmanager
def checked(place: Path) -> Iterator[None]:
    """Turn what our own values refuse, such as a negative count, into `DataError`s."""
    try:
        yield
    except ValidationError as error:
        lines = [wrong_field(one) for one in error.errors()]
        raise DataError(f"{place} cannot be imported:\n" + "\n".join(lines)) from error


def wrong_field(detail: Any) -> str:
    """A line on one error of pydantic."""
    path = ".".join(map(str, detail["loc"]))
    message = detail["msg"].removeprefix("Value error, ")
    found = "" if isinstance(detail["input"], dict) else f"; got {detail['input']!r:.60}"
    return f"  {path}: {message}{found}"


def part(found: Mapping[str, Any], name: str, path: Path) -> Mapping[str, Any]:
    """A mapping inside another; raises where it is missing."""
    value = found.get(name)
    if not isinstance(value, dict):
        raise DataError(
            f"{path} has no object {name!r}; it has {', '.join(found) or 'nothing'}."
        )
    return value


def text(found: Mapping[str, Any], *names: str) -> str:
    """The text under the first of these names that there is; "" for none."""
    return next((v for name in names if isinstance(v := found.get(name), str)), "")


def _mapping(path: Path, found: object) -> Mapping[str, Any]:
    if not isinstance(found, dict):
        raise DataError(f"{path} holds no mapping of names to values.")
    return found
