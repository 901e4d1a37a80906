"""The results of one benchmark in one store: tables, reports, advice."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from peftbench.cost.costs import Cost
from peftbench.errors import InvalidSpec, StoreError
from peftbench.scoring import Summary, summarise, to_rows
from peftbench.scoring.columns import COLUMNS, column
from peftbench.scoring.recommend import judge, recommend
from peftbench.scoring.summarise import ROW_FIELDS
from peftbench.store import Store, StoredBenchmark, row_scores
from peftbench.store._files import explained
from peftbench.store.export import costs_of

if TYPE_CHECKING:
    import pandas as pd

    from peftbench.cost.costs import Cost
    from peftbench.report import Format
    from peftbench.report.advice import Advice


@dataclass(frozen=True)
class Results:
    """The results of one benchmark in one store."""

    summary: Summary
    store: Path

    def to_frame(self, *, all_metrics: bool = False) -> pd.DataFrame:
        """One row for every model, method, task and seed with a headline score, and with
        `all_metrics` further rows for the task's other metrics and test sets."""
        import pandas as pd

        frame = pd.DataFrame(to_rows(self.summary), columns=list(ROW_FIELDS))
        return frame if all_metrics else frame[frame["is_headline"]].reset_index(drop=True)

    def costs(self) -> pd.DataFrame:
        """What every method costs on every model, as the meter measured it: one row each,
        with the columns that `recommend` and `pareto` know."""
        import pandas as pd

        known = {name: one for name, one in COLUMNS.items() if one.is_cost}
        rows = [
            {
                "model": standing.model,
                "method": standing.method,
                "device": standing.cost.device,
                **{name: one.value(standing) for name, one in known.items()},
            }
            for standing in self.summary.standings
            if standing.cost
        ]
        return pd.DataFrame(rows, columns=["model", "method", "device", *known])

    def render(self, format: Format) -> str:  # noqa: A002 - the word of the command line
        """The report as "html", "md", "latex", "csv" or "json"."""
        from peftbench.report import render

        return render(self.summary, format)

    def write_report(self) -> Path:
        """Write `report.html` into the store's folder; returns its path."""
        path = self.store / "report.html"
        with explained(self.store):
            path.write_text(self.render("html"), "utf-8")
        return path

    def __repr__(self) -> str:
        """Scores by method and task, as the command line prints them."""
        from peftbench.report.results import headline_table

        tables = [headline_table(self.summary, model) for model in self.summary.models]
        return "\n\n".join(
            f"{one.title}\n{one.to_frame().to_string()}\n{one.caption}" for one in tables
        )

    def _repr_html_(self) -> str:
        """The same, in a notebook."""
        from peftbench.report.results import headline_table

        tables = [headline_table(self.summary, model) for model in self.summary.models]
        return "".join(
            f"<h4>{escape(one.title)}</h4>{one.to_frame().to_html()}"
            f"<p>{escape(one.caption)}</p>"
            for one in tables
        )


def results(
    store: Store, name: str | None = None, *, methods: Collection[str] | None = None
) -> Results:
    """The results of one benchmark of a store; its newest by default. `methods` are labels:
    only these are compared, as if there were no others. A cell of which a file was altered
    counts as failed."""
    chosen = stored_benchmark(store, name)
    cells = [p for p in chosen.cells if methods is None or p.label in methods]
    records = store.records(cells)

    altered: dict[str, str] = {}

    def rows(cell_id: str) -> list[float] | None:
        grade = records[cell_id].grade if cell_id in records else None
        try:
            found = row_scores(store.results, grade) if grade else []
        except StoreError as error:
            altered[cell_id] = str(error)
            return None
        return [score for score in found if score is not None] or None

    found = (one.outcome for one in costs_of(store, chosen.cells))
    costs = [one for one in found if isinstance(one, Cost) and one.basis == "measured"]
    summary = summarise(chosen.name, chosen.spec, cells, records, costs, rows)
    if altered:
        records |= {
            cell_id: records[cell_id].model_copy(
                update={"status": "failed", "error": error, "scores": (), "grade": None}
            )
            for cell_id, error in altered.items()
        }
        summary = summarise(chosen.name, chosen.spec, cells, records, costs, rows)
    regraded = sum(record.times_graded > 1 for record in records.values())
    return Results(summary.model_copy(update={"rescored_cells": regraded}), store.folder)


def advice(
    store: Store,
    name: str | None = None,
    *,
    model: str | None = None,
    prefer: str = "trainable_parameters",
    budgets: Mapping[str, float],
) -> Advice:
    """Which method of a benchmark to use within budgets, upper bounds of costs by column.

    `prefer` is the cost that decides between methods that are tied. Raises `InvalidSpec`
    where nothing can be chosen by: several models, or no mean score.
    """
    from peftbench.report.advice import Advice

    for asked in (prefer, *budgets):
        if not column(asked).is_cost:
            raise InvalidSpec(f"{asked} is no cost; choose one that is better when lower.")
    bounds = {asked.replace("-", "_"): bound for asked, bound in budgets.items()}
    prefer = prefer.replace("-", "_")
    whole = results(store, name).summary
    model = _one_model(model, whole.models)
    if whole.no_mean:
        raise InvalidSpec(
            f"There is no mean score to choose by: {whole.no_mean}. Put tasks of one "
            "direction into a benchmark of their own."
        )
    verdicts = judge([s for s in whole.standings if s.model == model], bounds)
    feasible = {one.method for one in verdicts if one.is_feasible}
    # Ties are with the best of those that fit, so they are tested among these alone.
    among = results(store, whole.name, methods=feasible).summary
    return Advice(
        found=recommend(among, model, prefer=prefer) if feasible else None,
        standings=tuple(s for s in among.standings if s.model == model),
        verdicts=verdicts,
        budgets=bounds,
        prefer=prefer,
    )


def stored_benchmark(store: Store, name: str | None = None) -> StoredBenchmark:
    """One benchmark of a store; its newest by default."""
    names = store.benchmark_names()
    found = store.benchmark(name or names[-1]) if names else None
    if found is None:
        raise InvalidSpec(
            f"{store.folder} holds no benchmark{f' called {name!r}' if name else ''}; it has "
            f"{', '.join(names) or 'none'}."
        )
    return found


def _one_model(asked: str | None, models: tuple[str, ...]) -> str:
    if asked is None and len(models) == 1:
        return models[0]
    if asked in models:
        return str(asked)
    given = f"no model {asked!r}" if asked else "several models"
    raise InvalidSpec(
        f"This benchmark has {given}; choose one with --model: {', '.join(models)}."
    )
