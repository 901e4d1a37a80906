"""The headline table: methods and tasks, and why a number is absent."""

from __future__ import annotations

import math

from peftbench.report import numbers
from peftbench.report.table import (
    TIED_MARK,
    Cell,
    Column,
    Row,
    Table,
    counted,
    empty,
    listed,
)
from peftbench.scoring.summary import Entry, Standing, Summary, TaskInfo


def standings(summary: Summary, model: str) -> tuple[Standing, ...]:
    """The standings on one model, best average rank first, those without one last."""
    own = [standing for standing in summary.standings if standing.model == model]
    return tuple(sorted(own, key=lambda s: _or_last(s.average_rank)))


def headline_table(summary: Summary, model: str) -> Table:
    """Method by task: mean ± half the interval's width; mean score, average rank."""
    ordered = standings(summary, model)
    means = [s.mean_score for s in ordered if s.mean_score is not None]
    pick = max if summary.mean_better == "higher" else min
    best = pick(means) if len(means) > 1 else None
    return Table(
        name=f"results-{summary.models.index(model)}",
        title=f"Scores on {model}",
        caption=headline_caption(summary),
        columns=(
            Column(title="Method", is_number=False, sorts_first="ascending"),
            *(_task_column(summary, model, task) for task in summary.tasks),
            mean_column(summary, is_interval=any(s.mean_interval for s in ordered)),
            Column(
                title="Average rank",
                sorts_first="ascending",
                is_sorted=any(s.average_rank is not None for s in ordered),
            ),
        ),
        rows=tuple(
            Row(
                header=standing.method,
                cells=(
                    *(
                        entry_cell(summary, model, standing.method, task.name)
                        for task in summary.tasks
                    ),
                    _mean_cell(standing, best),
                    Cell(
                        text=numbers.rank(standing.average_rank),
                        value=standing.average_rank,
                    ),
                ),
            )
            for standing in ordered
        ),
        baselines=_baseline_rows(summary),
        notes=(
            *_why_no_mean(summary),
            *(note for standing in ordered if (note := _why_incomplete(summary, standing))),
        ),
    )


def mean_column(summary: Summary, *, is_interval: bool = False) -> Column:
    """The column of mean scores, which says where lower ones are better."""
    lower = summary.mean_better == "lower"
    return Column(
        title="Mean score",
        note="↓" if lower else "",
        is_interval=is_interval,
        sorts_first="ascending" if lower else "descending",
    )


def headline_caption(summary: Summary) -> str:
    """What the numbers and marks of the headline table mean."""
    over = {
        e.interval.over
        for e in summary.entries
        if e.interval and e.interval.high is not None
    }
    trained = any(method.trains for method in summary.methods)
    if "seeds and rows" in over:
        interval = (
            f"Mean over {counted(len(summary.seeds), 'seed')} ± half the width of its 95 % "
            "confidence interval over seeds and test rows (hierarchical bootstrap)"
        )
        if "rows" in over:
            interval += "; of a method that trains nothing, over test rows alone"
    elif "seeds" in over:
        interval = (
            f"Mean over {counted(len(summary.seeds), 'seed')} ± half the width of its 95 % "
            "confidence interval over seeds (Student's t)"
        )
        if not all(method.trains for method in summary.methods):
            interval += "; a method that trains nothing has no seeds, and so no interval"
    elif trained:
        interval = (
            "One seed, and so no intervals of methods that train"
            if len(summary.seeds) == 1
            else "No intervals of methods that train: their test rows all score alike"
        )
        if "rows" in over:
            interval += "; ±: over test rows alone"
    elif "rows" in over:
        interval = (
            "± half the width of a 95 % interval over test rows: nothing trains, no seeds"
        )
    else:
        interval = "No method trains, and so there are no seeds and no intervals"
    parts = ["Headline scores on the test split, times 100", interval]
    if summary.protocol != "strict":
        parts.append(f"Protocol {summary.protocol}: prompts and metrics are its own")
    if summary.kind == "imported":
        parts.append("Imported, not run by peftbench")
    if any(entry.is_best for entry in summary.entries):
        parts.append("Bold: best mean")
    if any(entry.is_tied_with_best and not entry.is_best for entry in summary.entries):
        parts.append(
            f"{TIED_MARK}: not told apart from the best by a paired test on the same test "
            "examples (5 %, Holm-corrected)"
        )
    if any(task.better == "lower" for task in summary.tasks):
        parts.append("↓: lower is better")
    if any(task.is_generated for task in summary.tasks):
        parts.append("Generated: made by peftbench, not a real dataset")
    return ". ".join(parts) + "."


def entry_cell(summary: Summary, model: str, method: str, task: str) -> Cell:
    """One place of the headline table."""
    entry = summary.entry(model, method, task)
    if entry is None or entry.interval is None:
        return empty(listed(_statuses(summary, model, method, task) or ["missing"]))
    return Cell(
        text=numbers.interval(entry.interval),
        value=entry.interval.mean,
        note="" if entry.complete else seeds_finished(summary, entry),
        mark="best" if entry.is_best else "tied" if entry.is_tied_with_best else "",
    )


def seeds_finished(summary: Summary, entry: Entry) -> str:
    """How many of the seeds have a score."""
    return f"{len(entry.by_seed)} of {counted(len(summary.seeds), 'seed')}"


def _mean_cell(standing: Standing, best: float | None) -> Cell:
    """Mean over tasks ± half the width of its interval, marked against the best."""
    text = numbers.points(standing.mean_score)
    half = standing.mean_interval.half_width if standing.mean_interval else None
    is_best = standing.mean_score is not None and standing.mean_score == best
    return Cell(
        text=text if half is None else f"{text} ± {numbers.points(half)}",
        value=standing.mean_score,
        mark="best" if is_best else "tied" if standing.is_mean_tied else "",
    )


def _task_column(summary: Summary, model: str, task: TaskInfo) -> Column:
    lower = task.better == "lower"
    notes = [
        task.metric.removeprefix("peft_bench_") + (" ↓" if lower else ""),
        "generated" if task.is_generated else "",
    ]
    return Column(
        title=task.name,
        note=", ".join(filter(None, notes)),
        is_interval=any(
            entry.interval is not None and entry.interval.half_width is not None
            for entry in summary.entries
            if (entry.model, entry.task) == (model, task.name)
        ),
        sorts_first="ascending" if lower else "descending",
    )


def _baseline_rows(summary: Summary) -> tuple[Row, ...]:
    names = dict.fromkeys(b.name for task in summary.tasks for b in task.baselines)
    rows = []
    for name in names:
        found = [
            next((b.value for b in task.baselines if b.name == name), None)
            for task in summary.tasks
        ]
        cells = [
            Cell(text="" if value is None else numbers.score(value), value=value)
            for value in found
        ]
        rows.append(
            Row(header=f"Baseline: {name}", cells=(*cells, Cell(text=""), Cell(text="")))
        )
    return tuple(rows)


def _why_no_mean(summary: Summary) -> tuple[str, ...]:
    """Why no method has a mean score, if that is so of all of them."""
    return (f"There is no mean score: {summary.no_mean}.",) if summary.no_mean else ()


def _why_incomplete(summary: Summary, standing: Standing) -> str:
    """Why a method has no mean score or rank; empty where it has both, or nobody has one."""
    wanted = {"average rank": standing.average_rank}
    if not summary.no_mean:
        wanted = {"mean score": standing.mean_score, **wanted}
    absent = [what for what, value in wanted.items() if value is None]
    if not absent:
        return ""
    reasons = []
    for task in summary.tasks:
        entry = summary.entry(standing.model, standing.method, task.name)
        if entry is None or entry.interval is None:
            statuses = _statuses(summary, standing.model, standing.method, task.name)
            reasons.append(f"{task.name} has no score ({listed(statuses or ['missing'])})")
        elif not entry.complete:
            reasons.append(f"{task.name} has {seeds_finished(summary, entry)}")
    why = listed(reasons) if reasons else "not every task is complete"
    return f"{standing.method} has no {listed(absent, 'or')}: {why}."


def _statuses(summary: Summary, model: str, method: str, task: str) -> list[str]:
    return sorted(
        {
            trouble.status
            for trouble in summary.troubles
            if (trouble.model, trouble.method, trouble.task) == (model, method, task)
        }
    )


def _or_last(rank: float | None) -> float:
    return math.inf if rank is None else rank
