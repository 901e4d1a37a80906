"""Rows in a data frame as a task."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from peftbench.errors import DataError, InvalidSpec
from peftbench.spec.read import validated
from peftbench.spec.task_file import TaskFile
from peftbench.tasks._fields import shown
from peftbench.tasks._template import Template

if TYPE_CHECKING:
    import pandas as pd

#: Folder of a store with such tasks, each in a folder that its content names.
FRAMES = "frames"


@dataclass(frozen=True)
class FrameTask:
    """A task of which the rows were given, to stand among the `tasks` of a mapping."""

    name: str
    description: str
    """Its task file."""
    rows: Mapping[str, str]
    """JSON lines by the name of their file."""

    def path(self, store: Path) -> Path:
        """Where a store has its task file: another content is another place."""
        content = json.dumps([self.name, self.description, dict(self.rows)])
        digest = hashlib.sha256(content.encode()).hexdigest()
        return store.resolve() / FRAMES / digest[:16] / f"{self.name}.yaml"

    def write(self, store: Path) -> None:
        """Write its files, unless they are there; the task file, which names the others, last."""
        path = self.path(store)
        path.parent.mkdir(parents=True, exist_ok=True)
        for name, text in {**self.rows, path.name: self.description}.items():
            if not (path.parent / name).is_file():
                (path.parent / name).write_text(text, "utf-8")

    def __repr__(self) -> str:
        rows = sum(text.count("\n") for text in self.rows.values())
        return f"FrameTask({self.name!r}: {rows} rows)"


def is_of_frame(path: Path) -> bool:
    """Whether a task file was written for a frame."""
    return path.parts[-3:-2] == (FRAMES,)


def task_from_frame(
    frame: pd.DataFrame | Mapping[str, pd.DataFrame],
    *,
    name: str,
    prompt: str,
    answer: str,
    labels: Mapping[Any, str] | Sequence[str] = (),
    test_fraction: float | None = None,
    **fields: Any,
) -> FrameTask:
    """A task whose rows are those of a data frame.

    frame : all rows, of which `test_fraction` become the test split; or a frame for each of
        "train" and "test", and for "validation" if there is one
    prompt : what the model reads, with columns in braces: "Review: {text}\\nAnswer:"
    answer : the column with the right answer
    labels : the closed set of answers, as the column's value to the word that is written, or
        words alone; none: answers are free
    fields : others of a task file (docs/your-own-task.md): `reads`, `metric`, `group`, ...

    The store keeps the rows. Other rows, or other words, are another task. Raises
    `InvalidSpec` for a wrong field, and `DataError` for a row that cannot be used.
    """
    import yaml

    from peftbench.tasks._data import missing_fields
    from peftbench.tasks._task_file import example_maker

    if not re.fullmatch(r"[A-Za-z][\w-]*", name):
        raise InvalidSpec(f"The task's name {name!r}: letters, digits, _ and - only.")
    frames = frame if isinstance(frame, Mapping) else {"file": frame}
    files = {split: f"{split}.jsonl" for split in frames}
    described: dict[str, Any] = {
        "data": files
        if test_fraction is None
        else {**files, "test_fraction": test_fraction},
        "prompt": prompt,
        "answer": answer,
        "labels": dict(labels) if isinstance(labels, Mapping) else list(labels),
        **fields,
    }
    checked = validated(TaskFile, described, f"the task {name!r}")
    lines = {files[split]: _lines(one) for split, one in frames.items()}
    template = Template.parse(prompt)
    to_example = example_maker(checked, template)
    columns = [*template.columns, answer, *([checked.group] if checked.group else [])]
    for file, text in lines.items():
        for number, line in enumerate(text.rstrip("\n").split("\n"), start=1):
            try:
                missing_fields(columns, json.loads(line))
                to_example(json.loads(line))
            except DataError as error:
                raise DataError(
                    f"The task {name!r}, row {number} of {file}: {error}"
                ) from None
    text = yaml.safe_dump(described, sort_keys=False, allow_unicode=True)
    return FrameTask(name, text, lines)


def _lines(frame: pd.DataFrame) -> str:
    """Rows as JSON lines: unlike Parquet's, their bytes depend on no library's version."""
    if not frame.columns.is_unique:
        name = frame.columns[frame.columns.duplicated()][0]
        raise DataError(
            f"The frame has two columns {name!r}; which of them counts? Rename or remove one."
        )
    for column in frame.columns[frame.dtypes == "object"]:
        for number, value in enumerate(frame[column], start=1):
            if isinstance(value, bytes):
                raise DataError(
                    f"{column!r} must be text or a number; row {number} of the frame has "
                    f"{shown(value)}. Decode it."
                )
    rows = frame.to_json(orient="records", lines=True, force_ascii=False, date_format="iso")
    return f"{rows.rstrip()}\n"
