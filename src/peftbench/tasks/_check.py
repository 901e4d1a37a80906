"""Everything that is wrong with a task's rows, found in one reading."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

from peftbench.errors import DataError
from peftbench.tasks import _leaks
from peftbench.tasks._data import LeftOutRows, cut_test, cut_validation, usable_example
from peftbench.tasks._fields import shown
from peftbench.tasks._sources import FolderSource, Source
from peftbench.tasks._task import SPLITS, Example, Split, Task

#: So many findings of unusable rows are listed one by one in each split.
_LISTED = 20
#: Above this share of one label, accuracy says little.
_ONE_SIDED = 0.9


@dataclass(frozen=True)
class Finding:
    """Something a user should know; `invalidates`: scores would not mean what they say."""

    kind: str
    message: str
    invalidates: bool


@dataclass(frozen=True, kw_only=True)
class SplitFacts:
    """One split in numbers. Tokens are of prompt and answer."""

    rows: int
    tokens_min: int
    tokens_median: float
    tokens_max: int
    too_long: int
    labels: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class Checked:
    """What a check found."""

    name: str
    source: str
    identity: str
    splits: Mapping[Split, SplitFacts]
    examples: Sequence[Example]
    """The first few of the training split."""
    findings: Sequence[Finding]

    @property
    def is_valid(self) -> bool:
        """Whether nothing was found that invalidates scores."""
        return not any(finding.invalidates for finding in self.findings)


@dataclass
class _Notes:
    found: list[Finding] = field(default_factory=list)

    def add(self, kind: str, message: str, *, invalidates: bool) -> None:
        self.found.append(Finding(kind, message, invalidates))


def check_task(
    name: str,
    task: Task,
    source: Source,
    *,
    count_tokens: Callable[[Example], int],
    special_tokens: Callable[[str], Sequence[str]] = lambda _text: (),
    longest: int,
    shown: int = 3,
) -> Checked:
    """Read all rows of all splits, and say what is wrong with them.

    `count_tokens` raises `DataError` for a row that cannot be encoded, and `special_tokens`
    finds what reads like one in a text. `longest` is what prompt and answer may have in
    tokens. Nothing is raised for rows that are broken: they are findings. A file that cannot
    be read at all is one, too.
    """
    notes = _Notes()
    count_tokens = cache(count_tokens)
    examples = _splits(name, task, source, notes, count_tokens, special_tokens)
    # Whoever names a group in a file of their own wants it kept together.
    _note_leaks(examples, notes, strict_groups=bool(task.own_files))
    facts: dict[Split, SplitFacts] = {}
    for split, rows in examples.items():
        if rows:
            facts[split] = _facts(task, rows, count_tokens, longest)
            _note_lengths(split, facts[split], longest, notes)
            _note_duplicates(split, rows, notes)
            if task.labels:
                _note_labels(task, split, facts[split], notes)
    return Checked(
        name=name,
        source=source.description,
        identity=source.identity,
        splits=facts,
        examples=examples["train"][:shown],
        findings=notes.found,
    )


def _splits(
    name: str,
    task: Task,
    source: Source,
    notes: _Notes,
    count_tokens: Callable[[Example], int],
    special_tokens: Callable[[str], Sequence[str]],
) -> dict[Split, Sequence[Example]]:
    """The usable examples of the three splits; those that have to be are cut off."""
    found: dict[Split, Sequence[Example]] = {}
    for split in source.splits:
        found[split] = _usable(task, split, source, notes, count_tokens, special_tokens)
    try:
        if "test" not in found and task.test_fraction and found.get("train"):
            found["train"], found["test"] = cut_test(name, task, found["train"])
        if "validation" not in found and found.get("train"):
            found["train"], found["validation"] = cut_validation(name, found["train"])
    except DataError as error:
        notes.add("cut", str(error), invalidates=True)
    for split in SPLITS:
        if not found.setdefault(split, ()):
            notes.add("empty", f"{split}: no usable rows.", invalidates=True)
    return {split: found[split] for split in SPLITS}


def _usable(
    task: Task,
    split: Split,
    source: Source,
    notes: _Notes,
    count_tokens: Callable[[Example], int],
    special_tokens: Callable[[str], Sequence[str]],
) -> list[Example]:
    errors: list[DataError] = []
    left_out: LeftOutRows = Counter()
    try:
        rows = (
            source.read(split, errors.append)
            if isinstance(source, FolderSource)
            else source.read(split)
        )
    except DataError as error:
        notes.add("unreadable", str(error), invalidates=True)
        return []
    examples = []
    special: dict[str, list[str]] = {}  # the places of every one
    for index in range(len(rows.rows)):
        try:
            example = usable_example(task, split, rows, index, left_out)
        except DataError as error:
            errors.append(error)
            continue
        if example is None:
            continue
        try:
            _is_read_back(task, example)
            count_tokens(example)
        except DataError as error:
            errors.append(DataError(f"{rows.place(index)}: {error}"))
            continue
        examples.append(example)
        for token in special_tokens(f"{example.prompt}\n{example.completion}"):
            special.setdefault(token, []).append(rows.place(index))
    for unusable in errors[:_LISTED]:
        notes.add("unusable row", str(unusable), invalidates=True)
    if len(errors) > _LISTED:
        message = f"{split}: {len(errors) - _LISTED} more rows that cannot be used."
        notes.add("unusable row", message, invalidates=True)
    for token, places in special.items():
        message = (
            f"{split}: {token!r} stands in {len(places)} rows, first in {places[0]}. It is a "
            "special token of this model; here it is read and written as text."
        )
        notes.add("special token", message, invalidates=False)
    for (_, reason), number in left_out.items():
        message = f"{number} {split} rows {reason}, left out."
        notes.add("left out", message, invalidates=False)
    return examples


def _is_read_back(task: Task, example: Example) -> None:
    """Raise `DataError` for a right answer that would be scored as a wrong one."""
    read = task.read(example.completion, example.extra)
    if example.target and read != example.target:
        raise DataError(
            f"the answer {shown(example.completion)} is read as {shown(read)}, and compared with "
            f"{shown(example.target)}: who writes it is wrong. Let the task read it so."
        )


def _note_leaks(
    examples: Mapping[Split, Sequence[Example]], notes: _Notes, *, strict_groups: bool
) -> None:
    exact = _leaks.shared_prompts(examples)
    for pair, number in exact.items():
        if number:
            message = f"{number} prompts stand word for word in both {pair}."
            notes.add("duplicate prompts", message, invalidates=pair.endswith("test"))
    for pair, number in _leaks.shared_normalised_prompts(examples).items():
        if number > exact[pair]:
            message = (
                f"{number} prompts stand in both {pair} but for case, punctuation, white space "
                "and characters that look alike."
            )
            notes.add("near-duplicate prompts", message, invalidates=pair.endswith("test"))
    for pair, number in _leaks.shared_groups(examples).items():
        if number:
            message = f"{number} groups have rows in both {pair}."
            strict = strict_groups and pair.endswith("test")
            notes.add("shared groups", message, invalidates=strict)


def _facts(
    task: Task,
    rows: Sequence[Example],
    count_tokens: Callable[[Example], int],
    longest: int,
) -> SplitFacts:
    tokens = [count_tokens(row) for row in rows]
    classes = Counter(row.target for row in rows)
    return SplitFacts(
        rows=len(rows),
        tokens_min=min(tokens),
        tokens_median=statistics.median(tokens),
        tokens_max=max(tokens),
        too_long=sum(number > longest for number in tokens),
        labels={label: classes[label] for label in task.labels},
    )


def _note_lengths(split: Split, facts: SplitFacts, longest: int, notes: _Notes) -> None:
    if facts.too_long:
        what = "left out" if split == "train" else "cut at their start"
        message = (
            f"{split}: {facts.too_long} of {facts.rows} rows have more than {longest} tokens "
            f"and are {what}."
        )
        notes.add("too long", message, invalidates=facts.too_long == facts.rows)


def _note_duplicates(split: Split, rows: Sequence[Example], notes: _Notes) -> None:
    targets: dict[str, list[str]] = {}
    for row in rows:
        targets.setdefault(_leaks.normalised(row.prompt), []).append(row.target)
    repeated = [found for found in targets.values() if len(found) > 1]
    if repeated:
        unequal = sum(len(set(found)) > 1 for found in repeated)
        message = f"{split}: {len(repeated)} prompts stand there more than once" + (
            f", {unequal} of them with different answers." if unequal else "."
        )
        notes.add("repeated prompts", message, invalidates=False)


def _note_labels(task: Task, split: Split, facts: SplitFacts, notes: _Notes) -> None:
    absent = [label for label in task.labels if not facts.labels[label]]
    label, number = max(facts.labels.items(), key=lambda pair: pair[1])
    if len(absent) == len(task.labels) - 1:
        message = f"{split}: every row has the answer {label!r}."
        notes.add("one label", message, invalidates=split == "test")
        return
    if absent:
        message = f"{split}: no row has the answer {', '.join(map(repr, absent))}."
        notes.add("label without rows", message, invalidates=False)
    if number > _ONE_SIDED * facts.rows:
        message = (
            f"{split}: {number / facts.rows:.0%} of the rows have the answer {label!r}."
        )
        notes.add("one-sided labels", message, invalidates=False)
