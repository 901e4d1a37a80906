"""`peftbench rescore`: metrics again from stored predictions, without a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from peftbench.cli import _options as options
from peftbench.cli._app import app
from peftbench.cli._say import say

if TYPE_CHECKING:
    from peftbench.engine.regrade import Regraded


@app.command()
def rescore(
    store: options.ExistingStore,
    benchmark: options.BenchmarkName = None,
    unsafe_run_code: options.UnsafeRunCode = False,
) -> None:
    """Grade stored predictions again by today's code, and show what changed.

    All finished cells of a benchmark are graded, on every test set, without a model. Earlier
    grades stay as they are; reports show the newest, and `show` tells all. Exit codes: 0 all
    could be graded, 1 some could not, 2 wrong usage.
    """
    from peftbench.api import Experiment
    from peftbench.cli._print import Terminal, plain_table

    with Experiment.open(store, benchmark) as experiment:
        found = experiment.rescore(unsafe_run_code=unsafe_run_code)
    rows = [row for one in found for row in _changes(one)]
    if rows:
        plain_table(Terminal(highlight=False), _TITLES, rows)
    for one in found:
        if one.reason:
            say(f"{one.planned.name} · {one.test_set}: not scored again: {one.reason}")
    say(_summed_up(found))
    raise typer.Exit(1 if any(one.reason for one in found) else 0)


_TITLES = ["model", "method", "task", "seed", "test set", "metric", "old", "new"]


def _summed_up(found: Sequence[Regraded]) -> str:
    changed = sum(one.is_changed for one in found)
    failed = sum(bool(one.reason) for one in found)
    return (
        f"{len(found)} test sets of finished cells: {changed} changed, "
        f"{len(found) - changed - failed} the same, {failed} not scored again"
    )


def _changes(one: Regraded) -> list[list[str]]:
    """One line for every score that is not what it was."""
    cell = one.planned.cell
    seed = "-" if cell.seed is None else str(cell.seed)
    place = [one.planned.model, one.planned.label, cell.task.name, seed]
    old, new = (
        {(score.test_set, score.metric): score.value for score in scores}
        for scores in (one.old, one.new)
    )
    return [
        [*place, *name, _shown(old.get(name)), _shown(new.get(name))]
        for name in {**new, **old}
        if old.get(name) != new.get(name)
    ]


def _shown(value: float | None) -> str:
    from peftbench.report.numbers import NOTHING

    return NOTHING if value is None else f"{value:.4f}"
