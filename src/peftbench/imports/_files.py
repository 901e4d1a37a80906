"""Reading files that other tools wrote. All errors are `DataError`s that name the file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from peftbench.errors import DataError


def folder(path: Path, expected: str) -> Path:
    """The folder to read, resolved; raises where there is none."""
    if not path.is_dir():
        what = "is a file" if path.exists() else "does not exist"
        raise DataError(f"{path} {what}; give a folder with {expected}.")
    return path.resolve()


def read_json(path: Path) -> Mapping[str, Any]:
    """A JSON object."""
    try:
        found = json.loads(_text(path))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is not valid JSON ({error}).") from error
    return _mapping(path, found)


def read_yaml(path: Path) -> Mapping[str, Any]:
    """A YAML mapping."""
    try:
        found = yaml.safe_load(_text(path))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise DataError(f"{path} is not valid YAML ({error}).") from error
    return _mapping(path, found)


def read_rows(path: Path, fields: Sequence[str]) -> list[Mapping[str, Any]]:
    """JSON objects, one a line, each with text in `fields`."""
    rows: list[Mapping[str, Any]] = []
    for number, line in enumerate(_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        place = f"{path}:{number}"
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(
                f"{place} is not valid JSON ({error}); the file may have been cut short."
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


def digest(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    return hashlib.sha256(_bytes(path)).hexdigest()


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


def _text(path: Path) -> str:
    try:
        return _bytes(path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text (byte {error.start}).") from error


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error
