"""From a task's name to the examples of its three splits, checked and cut to size.

Nothing here depends on the seed: all runs of a task see the same examples.
"""

from __future__ import annotations

import hashlib
import heapq
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Any

from peftbench import tasks
from peftbench.errors import DataError
from peftbench.spec import Protocol
from peftbench.spec.facts import Leak, LeftOut
from peftbench.tasks import _leaks
from peftbench.tasks._fields import shown
from peftbench.tasks._sources import Source, SplitRows, find_source
from peftbench.tasks._task import SPLITS, Example, Row, Split, Task

#: How many rows were left out, by split and reason.
LeftOutRows = Counter[tuple[str, str]]

#: A validation split cut from training rows has at most so many of them,
VALIDATION_ROWS = 512
#: and at most this share.
VALIDATION_FRACTION = 0.1


@dataclass(frozen=True, kw_only=True)
class TaskData:
    """The examples of a task, and where they come from."""

    name: str
    task: Task
    examples: Mapping[Split, tuple[Example, ...]]
    further_tests: Mapping[str, tuple[Example, ...]]  # those there are rows for
    rows_before_limits: Mapping[Split, int]  # training examples after `Task.expand`
    left_out: tuple[LeftOut, ...]  # rows that a split cannot use
    source: str  # "generated", "folder", "hub openai/gsm8k"
    identity: str  # "generated v1", "sha256:<digest of the files>", "<hub id>@<revision>"

    @cached_property
    def shared_groups(self) -> Mapping[str, int]:
        """Groups in two splits: leaks, if any. Keys: "train/test" and the like."""
        return _leaks.shared_groups(self.examples)

    @cached_property
    def duplicate_prompts(self) -> Mapping[str, int]:
        """Prompts that stand word for word in two splits; keys as `shared_groups`."""
        return _leaks.shared_prompts(self.examples)

    @cached_property
    def normalised_duplicate_prompts(self) -> Mapping[str, int]:
        """The same as `_leaks.normalised` has them, the exact ones included."""
        return _leaks.shared_normalised_prompts(self.examples)

    @property
    def leaks(self) -> tuple[Leak, ...]:
        """All three as a record counts them."""
        return (
            *_leaks.leaks("prompts", self.duplicate_prompts),
            *_leaks.leaks("normalised prompts", self.normalised_duplicate_prompts),
            *_leaks.leaks("groups", self.shared_groups),
        )


def load_task_data(
    name: str,
    *,
    data_dir: Path | None,
    limits: Mapping[Any, int | None],
    protocol: Protocol = "strict",
) -> TaskData:
    """Load a task's three splits, each with at most `limits[split]` examples.

    Rows come from the task's own program, else from `data_dir` (see
    `FolderSource.find` for its layout), else, without a `data_dir`, from the hub.
    Raises `DataError` for rows that are missing, broken or do not fit the task.
    """
    task = tasks.get(name, protocol)
    name = _canonical(name)
    return task_data(name, task, find_source(name, task, data_dir), limits)


def with_limits(data: TaskData, limits: Mapping[Any, int | None]) -> TaskData:
    """At most so many of the examples of data that was loaded without limits."""
    return replace(
        data,
        examples={
            split: limited(f"{data.name}|{split}", data.examples[split], limits.get(split))
            for split in SPLITS
        },
        further_tests={
            test: limited(f"{data.name}|{test}", found, limits.get("test"))
            for test, found in data.further_tests.items()
        },
    )


def data_identity(
    name: str, *, data_dir: Path | None, protocol: Protocol = "strict"
) -> str:
    """`TaskData.identity`, found without parsing a row; raises `DataError` as that."""
    return find_source(_canonical(name), tasks.get(name, protocol), data_dir).identity


def further_tests(
    name: str, *, data_dir: Path | None, protocol: Protocol = "strict"
) -> tuple[str, ...]:
    """Those of `Task.further_tests` that there are rows for, told without parsing one."""
    task = tasks.get(name, protocol)
    known = find_source(_canonical(name), task, data_dir).further_tests
    return tuple(test for test in task.further_tests if test in known)


def task_data(
    name: str, task: Task, source: Source, limits: Mapping[Split, int | None]
) -> TaskData:
    """Load `task` from a given source, as `load_task_data` does."""
    identity = source.identity
    left_out: LeftOutRows = Counter()
    examples = {
        split: _examples(task, split, source.read(split), left_out)
        for split in source.splits
    }
    if "test" not in examples and task.test_fraction:
        examples["train"], examples["test"] = cut_test(name, task, examples["train"])
    missing = [split for split in ("train", "test") if split not in examples]
    if missing:
        raise DataError(
            f"The task {name!r} names no split for {' and '.join(missing)}; its `splits` "
            "must have train and test."
        )
    if "validation" not in examples:
        examples["train"], examples["validation"] = cut_validation(name, examples["train"])
    if task.expand is not None:
        examples["train"] = _expanded(task, examples["train"])
    further = {test: tuple(rows) for test, rows in _further_tests(task, source, left_out)}
    whole = TaskData(
        name=name,
        task=task,
        examples={split: tuple(examples[split]) for split in SPLITS},
        further_tests=further,
        rows_before_limits={split: len(examples[split]) for split in SPLITS},
        left_out=counted(left_out),
        source=source.description,
        identity=identity,
    )
    return with_limits(whole, limits)


def counted(left_out: LeftOutRows) -> tuple[LeftOut, ...]:
    """What was left out, in the order in which it was met."""
    return tuple(
        LeftOut(split=split, reason=reason, count=count)
        for (split, reason), count in left_out.items()
    )


def _canonical(name: str) -> str:
    """One task, one name: it goes into the order of rows and the folder's path."""
    return name.replace("-", tasks.CATALOGUE.separator)


def _examples(
    task: Task, split: str, found: SplitRows, left_out: LeftOutRows
) -> Sequence[Example]:
    """Every usable row as an example; what is left out is counted in `left_out`."""
    if not found.rows:
        raise DataError(f"{found.origin} has no rows; the {split} split must not be empty.")
    usable = (
        usable_example(task, split, found, index, left_out)
        for index in range(len(found.rows))
    )
    examples = [example for example in usable if example is not None]
    if not examples:
        raise DataError(
            f"{found.origin}: no row of the {split} split can be used: "
            f"{', '.join(f'{n} {reason}' for (_, reason), n in left_out.items())}."
        )
    return examples


def usable_example(
    task: Task, split: str, found: SplitRows, index: int, left_out: LeftOutRows
) -> Example | None:
    """One row as an example, or None for one that is left out, which is counted.

    Raises `DataError`, with the place of the row, if it cannot be trained on or scored.
    """
    row = found.rows[index]
    try:
        example = _example(task, row)
        reason = task.unusable(example, split) if task.unusable else None
        if reason is not None:
            left_out[split, reason] += 1
            return None
        # A program is scored by its tests, and needs no right answer beside them.
        has_tests = split == "test" and "tests" in example.extra
        return _checked(task, example, row, needs_target=not has_tests)
    except DataError as error:
        raise DataError(f"{found.place(index)}: {error}") from error
    except Exception as error:
        raise DataError(
            f"{found.place(index)}: the task cannot use this row "
            f"({type(error).__name__}: {error}). Row: {shown(row)}"
        ) from error


def _example(task: Task, row: Row) -> Example:
    """One row as an example; raises `DataError` for a field that is missing."""
    missing_fields(task.fields, row)
    return task.to_example(row)


def missing_fields(fields: Sequence[str], row: Row) -> None:
    """Raise `DataError` if a row lacks one of the fields it must have."""
    missing = [field for field in fields if field not in row]
    if missing:
        close = get_close_matches(missing[0], list(row), n=1, cutoff=0.6)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        raise DataError(
            f"the row has no field {', '.join(map(repr, missing))}{hint}; found "
            f"{', '.join(row) or 'none'}; expected {', '.join(fields)}."
        )


def checked_example(task: Task, row: Row) -> Example:
    """The example of a row that has all fields; raises `DataError` if it is unusable."""
    return _checked(task, task.to_example(row), row)


def _expanded(task: Task, train: Sequence[Example]) -> Sequence[Example]:
    """Every training example as the several that it stands for."""
    assert task.expand is not None
    return [
        _checked(task, expanded, example.prompt)
        for example in train
        for expanded in task.expand(example)
    ]


def _further_tests(
    task: Task, source: Source, left_out: LeftOutRows
) -> Iterator[tuple[str, Sequence[Example]]]:
    for test in task.further_tests:
        found = source.read_further(test)
        if found is not None:
            yield test, _examples(task, test, found, left_out)


def _checked(
    task: Task, example: Example, row: object, *, needs_target: bool = True
) -> Example:
    """The example; raises `DataError` if it cannot be trained on or scored."""
    for part in ("prompt", "completion", "target") if needs_target else ("prompt",):
        if not getattr(example, part).strip():
            raise DataError(f"the {part} is empty. Row: {shown(row)}")
    if task.labels and example.target not in task.labels:
        raise DataError(
            f"the target {shown(example.target)} is not among the labels "
            f"{', '.join(task.labels)}."
        )
    return example


def cut_validation(
    name: str, train: Sequence[Example]
) -> tuple[Sequence[Example], Sequence[Example]]:
    """Training rows, and those of them that are validation rows instead.

    Whole groups are taken in the order of their digests; one too large for what is left
    is passed over. Both parts keep the order of the source.
    """
    size = max(1, min(VALIDATION_ROWS, int(VALIDATION_FRACTION * len(train))))
    return _cut(name, "validation", train, size, salt=name)


def cut_test(
    name: str, task: Task, rows: Sequence[Example]
) -> tuple[Sequence[Example], Sequence[Example]]:
    """The rows of a task that come in one file: for training, and for its test."""
    size = max(1, int(task.test_fraction * len(rows)))
    return _cut(name, "test", rows, size, salt=f"{name}|test")


def _cut(
    name: str, what: str, train: Sequence[Example], size: int, *, salt: str
) -> tuple[Sequence[Example], Sequence[Example]]:
    """The rows left, and at most `size` that are cut off; whole groups, by their digests."""
    groups: dict[str, list[int]] = {}
    for index, example in enumerate(train):
        text = example.prompt if example.group is None else example.group
        key = _leaks.normalised(text)
        groups.setdefault(key, []).append(index)
    taken: set[int] = set()
    for key in sorted(groups, key=lambda key: _digest(f"{salt}|{key}")):
        if len(taken) + len(groups[key]) <= size:
            taken.update(groups[key])
    if not 0 < len(taken) < len(train):
        raise DataError(
            f"No {what} split can be cut from the {len(train)} training rows of "
            f"{name!r}: they form {len(groups)} group(s), none of which fits into a share "
            f"of {size}. Give more training rows, or a {what} split."
        )
    return (
        [example for index, example in enumerate(train) if index not in taken],
        [example for index, example in enumerate(train) if index in taken],
    )


def limited(
    salt: str, examples: Sequence[Example], limit: int | None
) -> tuple[Example, ...]:
    """The `limit` examples with the smallest digests, in the order of the source.

    Not the first ones: files may be sorted by label. A larger limit adds to a smaller.
    """
    if limit is None or limit >= len(examples):
        return tuple(examples)
    ordered = (
        (_digest(f"{salt}|{example.prompt}|{example.completion}"), index)
        for index, example in enumerate(examples)
    )
    chosen = sorted(index for _, index in heapq.nsmallest(limit, ordered))
    return tuple(examples[index] for index in chosen)


def _digest(text: str) -> bytes:
    # Rows may hold half of a surrogate pair, which strict UTF-8 refuses.
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
