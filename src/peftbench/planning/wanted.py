"""Which steps a benchmark still wants, as pieces of work.

Another test split, metric, perturbed set or seed wants only what is new: what the store has of
a cell's steps is not asked for again. `--retry` and `--fresh` forget, `--robust` adds test sets,
`rescore` wants grades by today's scorer; all of them then come through here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Self

from peftbench import tasks
from peftbench.evaluation.grading import scorer_digest
from peftbench.spec import Cell, Grade, Predict
from peftbench.store import Look, PlannedCell, Results, Work

#: What a cell still needs: all of a run, or of an adapter that is there, answers or grades.
Need = Literal["run", "ask", "grade"]


def wanted(
    planned: Sequence[PlannedCell], results: Results, *, keep_adapters: bool = False
) -> list[Work]:
    """What is missing of these cells, one piece for each adapter, in their order.

    Nothing more is wanted of a step that failed, nor of what looks at it.
    """
    known = _Known.of(planned, results)
    found: dict[str, Work] = {}
    for one in planned:
        looks = known.missing_looks(one)
        if looks or known.lacks_adapter(one):
            _add(found, work_on(one.cell, looks, keep_adapter=keep_adapters))
    return list(found.values())


def needs(planned: Sequence[PlannedCell], results: Results | None) -> dict[str, Need]:
    """What those of these cells that are not done need most, by cell id; without a store
    all of them need everything."""
    known = _Known.of(planned, results)
    found: dict[str, Need] = {}
    to_ask: dict[str, list[str]] = {}  # cells by the step of their adapter
    for one in planned:
        looks = known.missing_looks(one)
        is_bare = one.cell.train is None and one.cell.id not in known.status
        if known.lacks_adapter(one) or is_bare:
            found[one.cell.id] = "run"
        elif any(look.predict.id not in known.status for look in looks):
            found[one.cell.id] = "ask"
            if one.cell.train:
                to_ask.setdefault(one.cell.train.id, []).append(one.cell.id)
        elif looks:
            found[one.cell.id] = "grade"
    for train_id, result in results.by_id(to_ask).items() if results else ():
        if not result.has_adapter:  # it was freed
            found |= dict.fromkeys(to_ask[train_id], "run")
    return found


@dataclass(frozen=True)
class _Known:
    """What a store has of some cells."""

    status: Mapping[str, str]
    """How their steps ended."""
    graded: Mapping[str, Sequence[Sequence[str]]]
    """The metrics of every grade of their predictions."""
    scorings: dict[tuple[str, str, bool], Scoring] = field(default_factory=dict)
    """Looked up once for all cells of a task: that reads the code of its scorer."""

    @classmethod
    def of(cls, planned: Sequence[PlannedCell], results: Results | None) -> _Known:
        """Read it in a few queries; without a store there is nothing."""
        if results is None:
            return cls({}, {})
        trains = [one.cell.train.id for one in planned if one.cell.train]
        predicts = [predict.id for one in planned for predict in one.predicts]
        return cls(results.status([*trains, *predicts]), results.graded_metrics(predicts))

    def lacks_adapter(self, one: PlannedCell) -> bool:
        """Whether it was never trained."""
        return one.cell.train is not None and one.cell.train.id not in self.status

    def missing_looks(self, one: PlannedCell) -> tuple[Look, ...]:
        """Test sets that its adapter has not been asked, or whose answers lack a grade."""
        train = one.cell.train
        if train is not None and self._failed(train.id):
            return ()
        cell = one.cell
        key = cell.task.name, cell.protocol, bool(cell.origin)
        if key not in self.scorings:
            self.scorings[key] = Scoring.of(cell)
        scoring = self.scorings[key]
        return tuple(
            Look(
                predict=predict,
                grade=None if is_graded else grade_step(cell, predict, scoring),
            )
            for predict in one.predicts
            if not self._failed(predict.id)
            for is_graded in [scoring.is_covered_by(self.graded.get(predict.id, ()))]
            if predict.id not in self.status or not is_graded
        )

    def _failed(self, step_id: str) -> bool:
        return self.status.get(step_id, "finished") != "finished"


class Scoring(NamedTuple):
    """How the answers to a task are graded today."""

    metrics: tuple[str, ...]
    scorer: str

    @classmethod
    def of(cls, cell: Cell) -> Self:
        """By its task and protocol alone."""
        is_published = cell.protocol == "peft-bench" or bool(cell.origin)
        scorer = scorer_digest(cell.task.name, published=is_published)
        return cls(metrics_of(cell), scorer)

    def is_covered_by(self, graded: Iterable[Sequence[str]]) -> bool:
        """Whether some grade of predictions has all metrics of the task."""
        asked = set(self.metrics)
        return any(asked <= set(names) for names in graded)


def work_on(cell: Cell, looks: tuple[Look, ...], *, keep_adapter: bool = False) -> Work:
    """The work on the adapter of one cell."""
    return Work(
        unit=cell.train.id if cell.train else cell.id,
        model=cell.model.name,
        location=cell.method.location,
        train=cell.train,
        looks=looks,
        keep_adapter=keep_adapter,
    )


def grade_step(cell: Cell, predict: Predict, scoring: Scoring | None = None) -> Grade:
    """How the answers to a test set are graded today; `scoring` is the cell's, where it is
    known."""
    beside = cell.id if predict.test_set.is_perturbed else None
    metrics, scorer = scoring or Scoring.of(cell)
    return Grade(
        predictions=predict.id,
        beside=beside,
        train_limit=None if beside else cell.limits.train,
        validation_limit=None if beside else cell.limits.validation,
        metrics=metrics,
        scorer=scorer,
    )


def metrics_of(cell: Cell) -> tuple[str, ...]:
    """The metrics of its task, by its protocol."""
    return tuple(tasks.get(cell.task.name, cell.protocol).metrics)


def _add(found: dict[str, Work], work: Work) -> None:
    """Two cells may share an adapter: then one piece of work has the looks of both."""
    known = found.get(work.unit)
    if known is not None:
        looks = {look.predict.id: look for look in (*known.looks, *work.looks)}
        work = work.model_copy(update={"looks": tuple(looks.values())})
    found[work.unit] = work
