"""`peftbench rescore`: metrics again from stored predictions, without a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from peftbench.cli import _options as options
from peftbench.cli._app import app
from peftbench.errors import InvalidSpec

if TYPE_CHECKING:
    from peftbench.engine.rescore import Rescoring
    from peftbench.engine.rescore_perturbed import PerturbedRescoring
    from peftbench.evaluation.scores import PerturbedScores, Score
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
    So are adapters that were scored on perturbed test sets.

    Records stay as they are; reports show the newest scores, and `show` tells all.
    """
    from rich.console import Console

    from peftbench.cli._print import plain_table
    from peftbench.engine.rescore import rescore as again
    from peftbench.engine.rescore_perturbed import rescore_perturbed
    from peftbench.store import Store

    opened = Store.open(store, create=False)
    try:
        planned = _planned(opened, benchmark)
        found = list(again(opened, planned, unsafe_run_code=unsafe_run_code))
        perturbed = list(rescore_perturbed(opened, planned))
    finally:
        opened.close()
    rows = [row for one in found for row in _changes(planned[one.record.cell.id], one)]
    for one in perturbed:
        rows += _perturbed_changes(planned[one.evaluation.cell_id], one)
    if rows:
        plain_table(Console(highlight=False), _TITLES, rows)
    _say("finished cells", found, [_name(planned[one.record.cell.id]) for one in found])
    if perturbed:
        names = [
            f"{_name(planned[one.evaluation.cell_id])} · {one.evaluation.test_set.name}"
            for one in perturbed
        ]
        _say("scores on perturbed sets", perturbed, names)


def _say(
    what: str, found: Sequence[Rescoring | PerturbedRescoring], names: Sequence[str]
) -> None:
    for name, one in zip(names, found, strict=True):
        if one.reason:
            print(f"{name}: not scored again: {one.reason}")
    changed = sum(one.is_changed for one in found)
    failed = sum(bool(one.reason) for one in found)
    print(
        f"{len(found)} {what}: {changed} changed, "
        f"{len(found) - changed - failed} the same, {failed} not scored again"
    )


_TITLES = ["model", "method", "task", "seed", "test set", "metric", "old", "new"]
#: Test set and metric.
_Place = tuple[str, str]


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


def _changes(planned: PlannedCell, one: Rescoring) -> list[list[str]]:
    return _differences(planned, _values(one.old), _values(one.new))


def _perturbed_changes(planned: PlannedCell, one: PerturbedRescoring) -> list[list[str]]:
    test_set = one.evaluation.test_set.name

    def values(found: PerturbedScores) -> dict[_Place, float]:
        clean = (f"{test_set}, clean", found.clean.metric)
        return {**_values(found.scores), clean: found.clean.value}

    return _differences(planned, values(one.old), values(one.new))


def _values(scores: Sequence[Score]) -> dict[_Place, float]:
    return {(score.test_set, score.metric): score.value for score in scores}


def _differences(
    planned: PlannedCell, old: Mapping[_Place, float], new: Mapping[_Place, float]
) -> list[list[str]]:
    """One line for every score that is not what it was."""
    seed = "-" if planned.cell.seed is None else str(planned.cell.seed)
    place = [planned.model, planned.label, planned.cell.task.name, seed]
    return [
        [*place, *what, _shown(old.get(what)), _shown(new.get(what))]
        for what in {**new, **old}
        if old.get(what) != new.get(what)
    ]


def _name(planned: PlannedCell) -> str:
    seed = "" if planned.cell.seed is None else f" · seed {planned.cell.seed}"
    return f"{planned.model} · {planned.label} · {planned.cell.task.name}{seed}"


def _shown(value: float | None) -> str:
    from peftbench.report.numbers import NOTHING

    return NOTHING if value is None else f"{value:.4f}"
