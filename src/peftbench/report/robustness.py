"""The table of perturbed test sets: what is left of a score there."""

from __future__ import annotations

from peftbench.report import numbers
from peftbench.report.table import Cell, Column, Row, Table, counted, empty
from peftbench.scoring.robustness import STANDARD_ERRORS
from peftbench.scoring.summary import Interval, Robustness, Summary

_COLUMNS = (
    Column(title="Task · perturbed set · method", is_number=False, sorts_first="ascending"),
    Column(title="Clean", is_interval=True),
    Column(title="Perturbed", is_interval=True),
    Column(title="Drop", is_interval=True, sorts_first="ascending"),
    Column(title="Retention", note="%", is_interval=True),
    Column(title="Constant", note="clean"),
    Column(title="Constant", note="perturbed"),
    Column(title="Rows"),
)


def robustness_tables(summary: Summary, model: str) -> tuple[Table, ...]:
    """Methods on each perturbed set of each task; tasks and methods as in the spec. No
    table where no adapter on `model` was scored."""
    places = {task.name: place for place, task in enumerate(summary.tasks)}
    own = [row for row in summary.robustness if row.model == model]
    own.sort(key=lambda row: (places[row.task], row.test_set))
    if not own:
        return ()
    table = Table(
        name=f"robustness-{summary.models.index(model)}",
        title=f"Robustness on {model}",
        caption=_caption(),
        columns=_COLUMNS,
        rows=tuple(_row(summary, row) for row in own),
    )
    return (table,)


def _caption() -> str:
    return (
        "The trained adapters on perturbed test sets, evaluation only: nothing is trained or "
        "chosen there. Headline of the task times 100, mean over seeds ± half the width of "
        "the 95 % interval. Clean: the task's own test split, read in the labels that the "
        "set tells apart. Constant: what the best constant answer scores. Retention: "
        "(perturbed − constant) / (clean − constant), each score with the constant of its "
        "own rows; none where the clean score is not above its constant by "
        f"{STANDARD_ERRORS:g} standard errors."
    )


def _row(summary: Summary, row: Robustness) -> Row:
    some_missing = (
        ""
        if row.complete
        else f"{len(row.by_seed['clean'])} of {counted(len(summary.seeds), 'seed')}"
    )
    return Row(
        header=f"{row.task} · {row.test_set} · {row.method}",
        cells=(
            _interval(row.clean, some_missing),
            _interval(row.perturbed, some_missing or row.reason),
            _interval(row.drop),
            _interval(row.retention, row.reason),
            Cell(text=numbers.score(row.clean_constant), value=row.clean_constant),
            Cell(text=numbers.score(row.constant), value=row.constant),
            Cell(text=numbers.count(row.examples), value=row.examples),
        ),
    )


def _interval(value: Interval | None, why_not: str = "") -> Cell:
    if value is None:
        return empty(why_not)
    return Cell(text=numbers.interval(value), value=value.mean)
