"""Metrics again, from stored predictions: no model and no data are loaded.

Outputs are read anew by the task as it is today, in the record's own protocol, and graded
by today's metrics. What cannot be had from predictions stays as it was: see `Rescoring`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import peftbench
from peftbench import tasks
from peftbench.errors import PeftbenchError
from peftbench.evaluation import metrics
from peftbench.evaluation.metrics import Answers
from peftbench.evaluation.programs import Execution, run_programs
from peftbench.evaluation.score import baselines_again, grade, likelihood_scores, unmet
from peftbench.evaluation.scores import Score
from peftbench.manifest import now
from peftbench.store import Record, Rescored, Store
from peftbench.tasks import Task, peft_bench

if TYPE_CHECKING:
    import pyarrow as pa

#: Modules of `tasks` that read answers for several tasks.
_READERS = ("_answers.py", "_choices.py", "_programs.py", "_task.py")


@dataclass(frozen=True)
class Rescoring:
    """What became of one cell."""

    record: Record
    old: tuple[Score, ...]
    """In force until now."""
    new: tuple[Score, ...]
    """`old` where nothing changed or nothing could be done."""
    reason: str = ""
    """Why it could not be scored again."""

    @property
    def is_changed(self) -> bool:
        """Whether new scores were stored."""
        return self.new is not self.old


def rescore(
    store: Store, cell_ids: Iterable[str], *, unsafe_run_code: bool = False
) -> Iterator[Rescoring]:
    """Score finished cells again, and store the scores that are not those in force.

    Programs are run where no verdict on them is stored, or they are read otherwise today.
    """
    records = store.records(cell_ids)
    newest = store.rescorings.newest(records)
    for cell_id, record in records.items():
        if record.status != "finished":
            continue
        shown = newest[cell_id].applied_to(record) if cell_id in newest else record
        try:
            rescored, rows = _rescored(store, record, shown, unsafe=unsafe_run_code)
        except (PeftbenchError, ValueError) as error:
            yield Rescoring(record, shown.scores, shown.scores, str(error))
            continue
        if rescored.applied_to(record) == shown and rows == _rows_in_force(
            store, cell_id, newest.get(cell_id)
        ):
            yield Rescoring(record, shown.scores, shown.scores)
            continue
        store.rescorings.add(rescored, rows)
        yield Rescoring(record, shown.scores, rescored.scores)


def scorer_digest(task: str, record: Record) -> str:
    """SHA-256 of the code that reads answers of this task and computes metrics."""
    folder = Path(str(tasks.__file__)).parent
    sources = [*Path(str(metrics.__file__)).parent.glob("*.py")]
    sources += [folder / name for name in _READERS]
    sources.append(Path(str(tasks.CATALOGUE.module(task).__file__)))
    if record.cell.protocol == "peft-bench" or record.kind == "imported":
        sources += Path(str(peft_bench.__file__)).parent.glob("*.py")
    total = hashlib.sha256()
    for path in sorted(set(sources)):
        total.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return total.hexdigest()


def _rescored(
    store: Store, record: Record, shown: Record, *, unsafe: bool
) -> tuple[Rescored, list[float | None]]:
    name, protocol = record.cell.task.name, record.cell.protocol
    task = tasks.get(name, protocol)
    table = store.predictions(record.cell.id)
    if table is None:
        raise ValueError("It has no stored predictions.")
    read = _reader(record, task)
    takes_programs = any(metrics.get(metric).runs_programs for metric in task.metrics)
    execution = Execution.here(unsafe=unsafe) if takes_programs else None
    answers = answers_again(task, table, read, execution)
    graded = grade(task, answers)
    scores = [*graded.scores, *likelihood_scores(answers, likely(table))]
    for test in task.further_tests:
        further = store.predictions(record.cell.id, test)
        if further is not None:
            found = answers_again(task, further, read)
            scores += grade(task, found, test_set=test).scores
            scores += likelihood_scores(found, likely(further), test)
    known = {(score.test_set, score.metric) for score in scores}
    # What predictions do not give, such as programs that have to be run, stays.
    scores += [s for s in shown.scores if (s.test_set, s.metric) not in known]
    rescored = Rescored(
        cell_id=record.cell.id,
        scorer=scorer_digest(name, record),
        peftbench_version=peftbench.__version__,
        task_version=task.version,
        rescored_at=now(),
        scores=tuple(scores),
        baselines=baselines_again(task, answers, record.baselines),
        ran_programs_unsafely=_ran_unsafely(answers, table, execution),
    )
    return rescored, list(graded.rows)


def _reader(record: Record, task: Task) -> Callable[[str, Mapping[str, Any]], str | None]:
    """How outputs are read: an import's, in published words, by the strict rules."""
    if record.kind == "imported" and record.cell.protocol == "strict":
        rule = peft_bench.rule(record.cell.task.name)
        return lambda raw, _extra: rule.strict_answer(raw, task)
    return lambda raw, extra: task.read(raw, extra)


def answers_again(
    task: Task,
    table: pa.Table,
    read: Callable[[str, Mapping[str, Any]], str | None],
    execution: Execution | None = None,
) -> Answers:
    rows = table.to_pylist()
    strangers = {row["target"] for row in rows} - set(task.labels) if task.labels else ()
    if strangers:
        raise ValueError(
            f"Its targets are {', '.join(sorted(strangers))}; the task's labels are "
            f"{', '.join(task.labels)} today. Run the cell again."
        )
    extras = [json.loads(row["extra"]) for row in rows]
    predicted = [read(row["output"], x) for row, x in zip(rows, extras, strict=True)]
    # A verdict on a program holds as long as the same program is read.
    same = predicted == [row["answer"] for row in rows]
    ran = same and all(row.get("verdict") is not None for row in rows)
    answers = Answers(
        predicted=predicted,
        targets=[row["target"] for row in rows],
        labels=task.labels,
        groups=[row["group"] for row in rows],
        references=[tuple(row["references"] or ()) for row in rows],
        extras=extras,
        verdicts=[row["verdict"] for row in rows] if ran else (),
        sampled_verdicts=[tuple(row.get("sampled_verdicts") or ()) for row in rows]
        if ran
        else (),
    )
    if execution is not None and not ran:
        answers = _judged(answers, task, rows, execution)
    missing = unmet(task.headline, answers)
    if missing:
        raise ValueError(
            f"Its headline {task.headline} needs {' and '.join(missing)}, which its "
            "predictions do not hold as they are read today. Run the cell again."
        )
    return answers


def _judged(
    answers: Answers, task: Task, rows: Sequence[Mapping[str, Any]], execution: Execution
) -> Answers:
    """The answers with verdicts, their programs run now by the tests that are stored."""
    programs = [
        [answer, *map(task.read_answer, row.get("samples") or ())]
        for answer, row in zip(answers.predicted, rows, strict=True)
    ]
    found = run_programs(programs, answers.extras, execution)
    if found is None:
        raise ValueError(execution.reason)
    return replace(answers, verdicts=found.first, sampled_verdicts=found.others)


def _ran_unsafely(answers: Answers, table: pa.Table, execution: Execution | None) -> bool:
    """Whether verdicts are new, and come from no sandbox."""
    runner = execution.runner if execution else None
    stored = table.column("verdict").to_pylist() if runner else []
    return runner is not None and not runner.is_safe and stored != [*answers.verdicts]


def likely(table: pa.Table) -> Sequence[str | None]:
    """The likeliest label of every row."""
    found: Sequence[str | None] = table.column("likelihood_answer").to_pylist()
    return found


def _rows_in_force(
    store: Store, cell_id: str, newest: Rescored | None
) -> list[float | None]:
    if newest is not None:
        return store.rescorings.rows(newest)
    table = store.predictions(cell_id)
    found: list[float | None] = table.column("score").to_pylist() if table else []
    return found
