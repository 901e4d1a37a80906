"""A task from its YAML file, the same as one written in Python."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from peftbench.errors import DataError, InvalidSpec
from peftbench.spec.task_file import TaskFile, TaskRows, read_task_file
from peftbench.tasks._answers import label_reader, read_last_number, read_number, read_text
from peftbench.tasks._fields import shown
from peftbench.tasks._task import Example, Row, Split, Task
from peftbench.tasks._template import Template, cell_text

SUFFIXES = (".jsonl", ".jsonl.gz", ".csv", ".tsv", ".parquet")

_READERS: dict[str, Callable[[str], str | None]] = {
    "text": read_text,
    "number": read_number,
    "last_number": read_last_number,
}

#: What a column may hold, by how the answer is read.
_EXAMPLES = {"text": "some text", "number": "7", "last_number": "7"}


def task_from_file(path: Path) -> Task:
    """The task that a YAML file describes. Its name is the file's.

    Raises `InvalidSpec` for a wrong field, a template that does not parse, and a data file
    that is not there.
    """
    if not re.fullmatch(r"[A-Za-z][\w-]*", path.stem):
        raise InvalidSpec(
            f"The task file {path} gives its task the name {path.stem!r}: letters, digits, "
            "_ and - only. Rename the file."
        )
    described = read_task_file(path)
    try:
        template = Template.parse(described.prompt)
    except InvalidSpec as error:
        raise InvalidSpec(f"{path}: {error}") from error
    columns = [*template.columns, described.answer]
    if described.group is not None:
        columns.append(described.group)
    rows = described.data
    return Task(
        description=described.description or f"described in {path.name}",
        hub_id=rows.hub,
        subset=rows.subset,
        revision=rows.revision,
        own_files={} if rows.hub else _files(path, rows),
        test_fraction=rows.test_fraction if rows.file else 0.0,
        splits=_splits(rows) if rows.hub else {},
        license=described.license,
        fields=tuple(dict.fromkeys(columns)),
        to_example=example_maker(described, template),
        read_answer=label_reader(tuple(dict.fromkeys(described.labels.values())))
        if described.labels
        else _READERS[described.reads],
        metrics=described.metric or _metrics(described),
        labels=tuple(dict.fromkeys(described.labels.values())),
        max_new_tokens=described.max_new_tokens or (8 if described.labels else 64),
        version=described.version,
        example_row=dict.fromkeys(columns, _EXAMPLES[described.reads])
        | {described.answer: next(iter(described.labels), _EXAMPLES[described.reads])},
    )


def example_maker(described: TaskFile, template: Template) -> Callable[[Row], Example]:
    """What makes an example of a row; it raises `DataError` for one that cannot be used."""

    def to_example(row: Row) -> Example:
        completion, target = _answer(described, row)
        return Example(
            prompt=template.render(row),
            completion=completion,
            target=target,
            group=None if described.group is None else cell_text(row, described.group),
        )

    return to_example


def _answer(described: TaskFile, row: Row) -> tuple[str, str]:
    """What is to be written, and what a parsed answer is compared with."""
    said = cell_text(row, described.answer)
    if described.labels:
        if said not in described.labels:
            allowed = ", ".join(
                f"{key!r} ({word})" for key, word in described.labels.items()
            )
            raise DataError(f"{described.answer!r} is {shown(said)}; allowed: {allowed}.")
        return described.labels[said], described.labels[said]
    target = _READERS[described.reads](said) if said else ""
    if target is None:
        raise DataError(
            f"{described.answer!r} is {shown(said)}, which `reads: {described.reads}` finds "
            "no number in; one is written as 7, -3.5 or 1,200, and is no fraction, exponent, "
            "date or calculation. Write it so, or take `reads: text`."
        )
    return said, target


def _metrics(described: TaskFile) -> tuple[str, ...]:
    if described.labels:
        return ("accuracy", "macro_f1")
    return ("exact_match", "token_f1") if described.reads == "text" else ("numeric_match",)


def _files(path: Path, rows: TaskRows) -> dict[Split, Path]:
    named: dict[Split, str | None] = {
        "train": rows.file or rows.train,
        "validation": rows.validation,
        "test": rows.test,
    }
    found = {split: path.parent / name for split, name in named.items() if name}
    for file in found.values():
        if not file.name.endswith(SUFFIXES):
            raise InvalidSpec(
                f"{path}: data: {file.name} ends in none of {', '.join(SUFFIXES)}."
            )
        if not file.is_file():
            raise InvalidSpec(
                f"{path}: data: no file {file}. Paths are relative to the task file."
            )
    return found


def _splits(rows: TaskRows) -> dict[Split, str]:
    named: dict[Split, str | None] = {
        "train": rows.train,
        "validation": rows.validation,
        "test": rows.test,
    }
    return {split: expression for split, expression in named.items() if expression}
