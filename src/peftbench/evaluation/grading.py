"""Predictions read and graded: right after they were made, or years later. Needs no model.

There is one way from rows to scores, for a run's own test split, a task's further tests,
perturbed sets, imports, and all of them again by a newer scorer.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from peftbench import tasks
from peftbench.evaluation import metrics
from peftbench.evaluation.metrics import Answers
from peftbench.evaluation.programs import Execution, Verdict, Verdicts, run_programs
from peftbench.evaluation.rows import Mark, Prediction
from peftbench.evaluation.score import (
    baselines,
    baselines_again,
    compared,
    grade,
    likelihood_scores,
    merged,
)
from peftbench.evaluation.scores import (
    TEST,
    Baseline,
    PerturbedScores,
    Score,
    Unavailable,
)
from peftbench.tasks import Example, Task, peft_bench
from peftbench.tasks.perturbations import Reading

#: From an output and the row's `Example.extra` to the answer in it; None: unreadable.
Read = Callable[[str, Mapping[str, Any]], str | None]

#: Modules of `tasks` that read answers for several tasks.
_READERS = ("_answers.py", "_choices.py", "_programs.py", "_task.py")


@dataclass(frozen=True)
class Grading:
    """What came of grading one test set."""

    scores: tuple[Score, ...]
    """The headline first, unless it is unavailable."""
    unavailable: tuple[Unavailable, ...]
    baselines: tuple[Baseline, ...]
    perturbed: PerturbedScores | None
    """Of a perturbed set, beside the same adapter's answers to the test split."""
    marks: Sequence[Mark]


@dataclass(frozen=True)
class Reader:
    """How the outputs to one test set of a task are read and graded."""

    task: Task
    test_set: str = TEST
    read: Read | None = None  # None: as the task reads
    reading: Reading | None = None  # of a perturbed set
    execution: Execution | None = None
    """What runs programs, where a metric asks for it."""

    def grade(
        self,
        rows: Sequence[Prediction],
        *,
        clean: Sequence[Prediction] = (),
        train: Sequence[Example] | None = None,
        constants: Iterable[Baseline] = (),
        known: Sequence[Mark] = (),
    ) -> Grading:
        """Grade the answers to one test set.

        `clean` are the answers to the test split, where this set is a perturbed one. Baselines
        are chosen on the training examples `train`, or were, and are `constants`. Verdicts in
        the `known` marks of the same rows hold as long as the same programs are read.

        Raises `ValueError` where the rows no longer fit the task.
        """
        answers, verdicts = self._answers(rows, known)
        task = self._narrowed
        reason = self.execution.reason if self.execution else "no program was run"
        drawn = min((len(row.samples) for row in rows), default=0)
        found = grade(task, answers, test_set=self.test_set, samples=drawn, reason=reason)
        likely = [self._merged(row.likelihood_answer) for row in rows]
        scores = (*found.scores, *likelihood_scores(answers, likely, self.test_set))
        if self.reading is None:
            beside = None
            said = (
                baselines_again(task, answers, constants)
                if train is None
                else baselines(
                    task,
                    answers,
                    [example.target for example in train],
                    [example.group for example in train],
                )
            )
        else:
            own, _ = replace(self, reading=None)._answers(clean, ())
            beside = compared(task, scores, answers, merged(own, self.reading, self.task))
            said = ()
        return Grading(
            scores=scores,
            unavailable=found.unavailable,
            baselines=said,
            perturbed=beside,
            marks=[
                Mark(
                    answer=answer,
                    score=score,
                    likelihood_answer=likely[i],
                    verdict=verdicts.first[i] if verdicts else None,
                    sampled_verdicts=verdicts.others[i] if verdicts else (),
                )
                for i, (answer, score) in enumerate(
                    zip(answers.predicted, found.rows, strict=True)
                )
            ],
        )

    def _answers(
        self, rows: Sequence[Prediction], known: Sequence[Mark]
    ) -> tuple[Answers, Verdicts | None]:
        """The rows as metrics take them."""
        labels = self._narrowed.labels
        strangers = {row.target for row in rows} - set(labels) if labels else set()
        if strangers:
            raise ValueError(
                f"Its targets are {', '.join(sorted(strangers))}; the task's labels are "
                f"{', '.join(labels)} today. Run the cell again."
            )
        extras: list[Mapping[str, Any]] = [json.loads(row.extra) for row in rows]
        read = self.read or self.task.read
        answers = Answers(
            predicted=[
                self._merged(read(row.output, extra))
                for row, extra in zip(rows, extras, strict=True)
            ],
            targets=[row.target for row in rows],
            labels=labels,
            groups=[row.group for row in rows] if any(row.group for row in rows) else (),
            references=[tuple(row.references) for row in rows],
            extras=extras if any(extras) else (),
        )
        verdicts = self._verdicts(answers, rows, known)
        if verdicts is not None:
            answers = replace(
                answers, verdicts=verdicts.first, sampled_verdicts=verdicts.others
            )
        return answers, verdicts

    def _verdicts(
        self, answers: Answers, rows: Sequence[Prediction], known: Sequence[Mark]
    ) -> Verdicts | None:
        """What came of running the answers as programs; None where no metric asks for it, or
        nothing can be run."""
        if not any(metrics.get(name).runs_programs for name in self.task.metrics):
            return None
        if known and [mark.answer for mark in known] == list(answers.predicted):
            told = [(mark.verdict, mark.sampled_verdicts) for mark in known]
            if all(verdict is not None for verdict, _ in told):
                return Verdicts(
                    tuple(cast("Verdict", verdict) for verdict, _ in told),
                    tuple(cast("tuple[Verdict, ...]", tuple(o)) for _, o in told),
                )
        if self.execution is None:
            return None
        programs = [
            [answer, *map(self.task.read_answer, row.samples)]
            for answer, row in zip(answers.predicted, rows, strict=True)
        ]
        return run_programs(programs, answers.extras, self.execution)

    def _merged(self, answer: str | None) -> str | None:
        return self.reading.merged(answer) if self.reading else answer

    @property
    def _narrowed(self) -> Task:
        """The task with the labels that the test set tells apart."""
        if self.reading is None:
            return self.task
        return replace(self.task, labels=self.reading.labels(self.task.labels))


def published_reader(name: str, task: Task) -> Read:
    """How outputs in published words are read by the strict rules: those of imports."""
    rule = peft_bench.rule(name)
    return lambda raw, _extra: rule.strict_answer(raw, task)


def scorer_digest(name: str, *, published: bool = False) -> str:
    """SHA-256 of the code that reads answers of this task and computes metrics; with the
    `published` rules where they have a part in it."""
    folder = Path(str(tasks.__file__)).parent
    sources = [*Path(str(metrics.__file__)).parent.glob("*.py")]
    sources += [folder / reader for reader in _READERS]
    sources.append(Path(str(tasks.CATALOGUE.module(name).__file__)))
    if published:
        sources += Path(str(peft_bench.__file__)).parent.glob("*.py")
    total = hashlib.sha256()
    for path in sorted(set(sources)):
        total.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    for metric in tasks.get(name).metrics:
        if from_outside := metrics.CATALOGUE.source(metric):
            total.update(f"{metric} {from_outside}\0".encode())
    return total.hexdigest()
