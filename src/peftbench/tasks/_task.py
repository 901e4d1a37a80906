"""What a task is: rows to prompts and targets, and how an answer is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")

#: One row of a dataset, with the hub's own field names.
Row = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Example:
    """One row, as the model meets it.

    The model reads `prompt`, a blank (or the chat template's turn), and must write
    `completion` followed by the end token. `target` is what a parsed answer is
    compared with. Rows of one `group` never stand in different splits.
    `references` are all right answers where there are several; `target` is one of them.
    `extra` is what a metric needs beyond that, such as a program's tests, as JSON values.
    """

    prompt: str
    completion: str
    target: str
    group: str | None = None
    references: tuple[str, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, kw_only=True)
class Task:
    """A dataset as a task. One file in `tasks/` ends with `TASK = Task(...)`.

    `splits` maps our three splits to expressions over the hub's splits, as in
    `datasets`: `{"train": "train[:-512]", "validation": "train[-512:]", "test": "test"}`.
    A validation split that is cut from training rows is cut by `Example.group`, before
    `expand` makes several training examples of one. Rows of evaluation are never expanded.
    `further_tests` are more test sets, by name, that the same adapter is scored on where
    there are rows for them. `version` rises whenever a prompt, a target or the scoring
    changes.
    """

    description: str
    hub_id: str | None  # None: rows come from `generate`
    subset: str | None = None
    revision: str | None = None
    #: Where its files lie, by hub split, if the hub's own way to read them would not do.
    files: Mapping[str, str] = field(default_factory=dict)
    #: Its own files by split, of a task that a user describes in YAML.
    own_files: Mapping[Split, Path] = field(default_factory=dict)
    #: Where there is no test split, this share of the training rows is cut off as one.
    test_fraction: float = 0.0
    splits: Mapping[Split, str]
    further_tests: Mapping[str, str] = field(default_factory=dict)  # as `splits`
    sizes: Mapping[str, int] = field(default_factory=dict)  # rows of the hub's splits
    license: str
    fields: tuple[str, ...]  # that every row must have
    to_example: Callable[[Row], Example]
    grouped_by: str = ""  # what `Example.group` is, in words; "": every row for itself
    read_answer: Callable[[str], str | None]  # raw output to answer; None: unreadable
    metrics: tuple[str, ...]  # the first is the headline
    validation_metric: str = ""  # chooses the checkpoint; "": the headline
    labels: tuple[str, ...] = ()  # the closed set of answers; () where answers are free
    max_new_tokens: int = 16  # bound on an answer's length; a label is never cut short
    expand: Callable[[Example], Sequence[Example]] | None = None  # of training examples
    #: Why a row has to be left out of a split, which is counted; None: it is used.
    unusable: Callable[[Example, str], str | None] | None = None
    version: int = 1
    example_row: Row = field(default_factory=dict)  # hand-written, for docs and tests
    generate: Callable[[Split], Sequence[Row]] | None = None

    @property
    def headline(self) -> str:
        """The metric that tables show."""
        return self.metrics[0]

    def read(self, raw: str, extra: Mapping[str, Any] | None = None) -> str | None:
        """The answer in an output; None where it cannot be read.

        Where a row's `extra["choices"]` hold the texts that the labels stand for, in their
        order, an output that repeats one of them is its label too, also behind that label:
        "an iron nail", "C: both A and B".
        """
        answer = self.read_answer(raw)
        if answer is not None or not extra or "choices" not in extra:
            return answer
        found = set()
        for label, choice in zip(self.labels, extra["choices"], strict=True):
            head = _before(_plain(choice), _plain(raw))
            if head is not None and (not head or self.read_answer(head) == label):
                found.add(label)
        return found.pop() if len(found) == 1 else None

    @property
    def answer_bound(self) -> int:
        """Tokens within which an answer ends, its end token included."""
        # Any spelling of a label: one token per byte, a blank and the end.
        longest = max((len(label.encode()) + 2 for label in self.labels), default=0)
        return max(longest, self.max_new_tokens)

    @property
    def is_generated(self) -> bool:
        """True if the rows are made by a program, not collected from the world."""
        return self.generate is not None


def _plain(text: str) -> str:
    """A choice as it is compared: without repeated blanks and a final full stop."""
    return " ".join(text.split()).rstrip(".")


def _before(end: str, text: str) -> str | None:
    """What stands before `end`, whatever its case; None where `text` does not end in it."""
    split = len(text) - len(end)
    is_end = split >= 0 and text[split:].casefold() == end.casefold()
    return text[:split].strip() if is_end else None
