"""`peftbench rescore`: metrics again from stored predictions, without a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from peftbench.cli import _options as options
from peftbench.cli._app import app
from peftbench.errors import InvalidSpec

if TYPE_CHECKING:
    from peftbench.engine.rescore import Rescoring
    from peftbench.store import PlannedCell, Store


@app.command()
def rescore(
    store: options.ExistingStore,
    benchmark: Annotated[
        str | None, typer.Option(help="Its cells alone; default those of all.")
    ] = None,
    unsafe_run_code: options.UnsafeRunCode = False,
) -> None:
    """Score all finished cells again from their stored predictions, and show what changed.

    Records stay as they are; reports show the newest scores, and `show` tells all.
    """
    from rich.console import Console

    from peftbench.cli._print import plain_table
    from peftbench.engine.rescore import rescore as again
    from peftbench.store import Store

    opened = Store.open(store, create=False)
    try:
        planned = _planned(opened, benchmark)
        found = list(again(opened, planned, unsafe_run_code=unsafe_run_code))
    finally:
        opened.close()
    rows = [row for one in found for row in _changes(planned[one.record.cell.id], one)]
    if rows:
        plain_table(Console(highlight=False), _TITLES, rows)
    for one in found:
        if one.reason:
            print(f"{_name(planned[one.record.cell.id])}: not scored again: {one.reason}")
    changed = sum(one.is_changed for one in found)
    failed = sum(bool(one.reason) for one in found)
    print(
        f"{len(found)} finished cells: {changed} changed, "
        f"{len(found) - changed - failed} the same, {failed} not scored again"
    )


_TITLES = ["model", "method", "task", "seed", "metric", "old", "new"]


def _planned(store: Store, benchmark: str | None) -> dict[str, PlannedCell]:
    """The cells of one benchmark, or of all."""
    stored = store.benchmarks()
    chosen = [one for one in stored if benchmark in (None, one.name)]
    if not chosen:
        raise InvalidSpec(
            f"{store.folder} holds no benchmark"
            f"{f' called {benchmark!r}' if benchmark else ''}; it has "
            f"{', '.join(one.name for one in stored) or 'none'}."
        )
    return {cell.cell.id: cell for one in chosen for cell in one.cells}


def _changes(planned: PlannedCell, one: Rescoring) -> Sequence[list[str]]:
    """One line for every score that is not what it was."""
    old = {score.name: score.value for score in one.old}
    new = {score.name: score.value for score in one.new}
    seed = "-" if planned.cell.seed is None else str(planned.cell.seed)
    place = [planned.model, planned.label, planned.cell.task.name, seed]
    return [
        [*place, name, _shown(old.get(name)), _shown(new.get(name))]
        for name in {**new, **old}
        if old.get(name) != new.get(name)
    ]


def _name(planned: PlannedCell) -> str:
    seed = "" if planned.cell.seed is None else f" · seed {planned.cell.seed}"
    return f"{planned.model} · {planned.label} · {planned.cell.task.name}{seed}"


def _shown(value: float | None) -> str:
    from peftbench.report.numbers import NOTHING

    return NOTHING if value is None else f"{value:.4f}"
