"""How one dataset is asked and scored in PEFT-Bench, and the task that follows from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from peftbench.tasks._task import Example, Row, Split, Task

#: What ends a thinking model's thoughts; only what follows the last one is scored.
_THOUGHTS_END = "</think>\n\n"


def cleaned(raw: str) -> str:
    """An output as it is compared: without thoughts, blanks around it and capitals.

    >>> cleaned("<think>Hm.</think>\\n\\n Entailment\\n")
    'entailment'
    """
    return raw.rpartition(_THOUGHTS_END)[2].strip().lower()


@dataclass(frozen=True, kw_only=True)
class Rule:
    """What PEFT-Bench does otherwise than the strict task of the same name.

    `words` are for a closed set of answers: strict label to published word, in the
    published order, in which the second of two is the positive class. A free answer has
    `answer` (row to the text that is trained to) and `read` instead.
    """

    ask: str  # the instruction, in our words
    layout: str | Callable[[Row], str]  # what follows it: a format of the row's fields
    metrics: tuple[str, ...]  # the headline first, chosen as published
    words: Mapping[str, str] = field(default_factory=dict)
    answer: Callable[[Row], str] | None = None
    read: Callable[[str], str | None] | None = None
    references: Callable[[Row], Sequence[str]] | None = None
    fields: tuple[str, ...] = ()  # () where those of the strict task do
    splits: Mapping[Split, str] = field(default_factory=dict)  # {}: as the strict task's
    expand: Callable[[Example], Sequence[Example]] | None = None  # of training examples
    unusable: Callable[[Example, str], str | None] | None = None  # as in `Task`
    max_new_tokens: int = 16
    repeats_rows: bool = False  # a published file repeats a row for each of its answers
    strict_read: Callable[[str], str | None] | None = None
    """What a published answer or target says by the strict rules, where the strict task's
    own reading does not do; see `strict_answer`."""
    version: int = 1

    def read_label(self, raw: str) -> str | None:
        """The published word that an output is, whole; None for anything else."""
        by_text = {word.lower(): word for word in self.words.values()}
        return by_text.get(cleaned(raw))

    def strict_answer(self, raw: str, strict: Task) -> str | None:
        """What an output in the published form says by the strict rules; None: unreadable.

        Of a label task, the strict label that the word stands for.
        """
        if self.words:
            word = self.read_label(raw)
            return next((label for label, own in self.words.items() if own == word), None)
        return (self.strict_read or strict.read_answer)(raw)

    def prompt(self, row: Row) -> str:
        """Instruction and input, as one user's turn."""
        layout = self.layout
        body = layout(row) if callable(layout) else layout.format_map(row)
        return f"{self.ask}\n{body}"


def one_for_each_answer(example: Example) -> Sequence[Example]:
    """A training row for every right answer, as published."""
    return [
        replace(example, completion=answer, target=cleaned(answer))
        for answer in example.references
    ]


def derive(rule: Rule, strict: Task) -> Task:
    """The task that a rule makes of the strict one."""
    return replace(
        strict,
        splits=rule.splits or strict.splits,
        further_tests={},
        fields=rule.fields or strict.fields,
        to_example=partial(_to_example, rule, strict),
        read_answer=rule.read or rule.read_label,
        metrics=rule.metrics,
        labels=tuple(rule.words.values()),
        max_new_tokens=rule.max_new_tokens,
        expand=rule.expand,
        unusable=rule.unusable,
        validation_metric="",
        version=rule.version,
    )


def _to_example(rule: Rule, strict: Task, row: Row) -> Example:
    theirs = strict.to_example(row)
    if rule.answer is None:
        answer = rule.words[theirs.target]
        return Example(
            prompt=rule.prompt(row), completion=answer, target=answer, group=theirs.group
        )
    answer = rule.answer(row)
    assert rule.read is not None
    return Example(
        prompt=rule.prompt(row),
        completion=answer,
        target=rule.read(answer) or cleaned(answer),
        group=theirs.group,
        references=tuple(rule.references(row)) if rule.references else (),
    )
