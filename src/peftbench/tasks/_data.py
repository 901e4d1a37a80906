"""A task's examples: rows found, checked, turned into prompts, and limited."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from peftbench.catalogue import Catalogue
from peftbench.errors import DataError
from peftbench.tasks._sources import (
    Located,
    files,
    folder_identity,
    generated_rows,
    read_file,
    read_hub,
)
from peftbench.tasks._task import SPLITS, Example, Split, Task

#: A validation part cut from hub training rows has so many rows at most.
_VALIDATION_ROWS = 512
_CATALOGUE: Catalogue[Task] = Catalogue("task", "peftbench.tasks", "TASK")


@dataclass(frozen=True, kw_only=True)
class TaskData:
    """The examples of one task, split by split."""

    name: str
    task: Task
    examples: Mapping[Split, tuple[Example, ...]]
    rows_before_limits: Mapping[Split, int]
    source: str  # "generated", "folder", "hub openai/gsm8k"
    identity: str  # goes into a cell's id
    duplicate_prompts: int  # test prompts that also stand in train or validation


def data_identity(name: str, *, data_dir: Path | None) -> str:
    """Which rows a task stands for here, without reading them."""
    task = _CATALOGUE.get(name)
    if task.is_generated:
        return f"generated v{task.version}"
    if data_dir is not None:
        return folder_identity(name, data_dir)
    return f"{task.hub_id}@{task.revision}"


def load_task_data(
    name: str, *, data_dir: Path | None, limits: Mapping[Split, int | None]
) -> TaskData:
    """Read, check and limit a task's examples; raises `DataError` with the place."""
    task = _CATALOGUE.get(name)
    located, source = _rows(name, task, data_dir)
    examples = {
        split: tuple(_example(task, row) for row in located[split]) for split in SPLITS
    }
    for split in SPLITS:
        if not examples[split]:
            raise DataError(f"{name}: the {split} split from {source} is empty.")
    seen = {e.prompt for split in ("train", "validation") for e in examples[split]}
    return TaskData(
        name=name,
        task=task,
        examples={s: _limited(name, s, examples[s], limits.get(s)) for s in SPLITS},
        rows_before_limits={split: len(examples[split]) for split in SPLITS},
        source=source,
        identity=data_identity(name, data_dir=data_dir),
        duplicate_prompts=sum(example.prompt in seen for example in examples["test"]),
    )


def _rows(
    name: str, task: Task, data_dir: Path | None
) -> tuple[Mapping[Split, Sequence[Located]], str]:
    if task.is_generated:
        return {split: generated_rows(name, task, split) for split in SPLITS}, "generated"
    if data_dir is not None:
        paths = files(name, data_dir)
        return {split: read_file(paths[split]) for split in SPLITS}, "folder"
    rows = {split: read_hub(task, expression) for split, expression in task.splits.items()}
    if "validation" not in rows:
        rows["train"], rows["validation"] = cut_by_group(name, task, rows["train"])
    return rows, f"hub {task.hub_id}"


def cut_by_group(
    name: str, task: Task, rows: Sequence[Located]
) -> tuple[list[Located], list[Located]]:
    """Training rows without a validation part, and that part: whole groups, chosen by
    hash, so that it is the same for every seed and every machine."""
    wanted = min(_VALIDATION_ROWS, len(rows) // 10)
    groups: dict[str, list[int]] = {}
    for i, row in enumerate(rows):
        example = _example(task, row)
        groups.setdefault(example.group or example.prompt, []).append(i)
    chosen: set[int] = set()
    for group in sorted(groups, key=lambda group: _hash(f"{name}|{group}")):
        if len(chosen) >= wanted:
            break
        chosen.update(groups[group])
    kept = [row for i, row in enumerate(rows) if i not in chosen]
    return kept, [row for i, row in enumerate(rows) if i in chosen]


def _example(task: Task, located: Located) -> Example:
    missing = [field for field in task.fields if field not in located.row]
    if missing:
        raise DataError(
            f"{located.place}: field {', '.join(missing)} is missing; expected "
            f"{', '.join(task.fields)}, found {', '.join(map(str, located.row))}."
        )
    try:
        example = task.to_example(located.row)
    except DataError as error:
        raise DataError(f"{located.place}: {error}") from error
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise DataError(
            f"{located.place}: the row does not fit its task "
            f"({type(error).__name__}: {error}): {str(dict(located.row))[:200]}"
        ) from error
    if not example.completion.strip() or not example.target.strip():
        raise DataError(f"{located.place}: the target is empty.")
    if task.labels and example.target not in task.labels:
        raise DataError(
            f"{located.place}: label {example.target!r} is not one of {', '.join(task.labels)}."
        )
    return example


def label_of(value: object, labels: Sequence[str]) -> str:
    """The name of an integer label; -1 marks rows whose label the hub keeps secret."""
    if (
        isinstance(value, bool)
        or not isinstance(value, int)
        or not 0 <= value < len(labels)
    ):
        hint = "; -1 marks an unlabelled split" if value == -1 else ""
        raise DataError(f"label {value!r} is not one of 0 to {len(labels) - 1}{hint}.")
    return labels[value]


def _limited(
    name: str, split: Split, examples: tuple[Example, ...], limit: int | None
) -> tuple[Example, ...]:
    """A fixed choice of rows, the same for every seed, in their old order."""
    if limit is None or limit >= len(examples):
        return examples
    order = sorted(range(len(examples)), key=lambda i: _hash(f"{name}|{split}|{i}"))
    return tuple(examples[i] for i in sorted(order[:limit]))


def _hash(text: str) -> str:
    return hashlib.sha256(f"peftbench rows|{text}".encode()).hexdigest()
