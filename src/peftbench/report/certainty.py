"""The tables of how sure: aggregates over tasks, comparisons with the best, and how PSCP's
ranking moves."""

from __future__ import annotations

import math

from peftbench.report import numbers, searches
from peftbench.report.results import standings
from peftbench.report.table import Cell, Column, Row, Table, empty
from peftbench.scoring.sensitivity import rankings
from peftbench.scoring.summary import Aggregate, Comparison, Estimate, Summary
from peftbench.scoring.ties import LEVEL


def certainty_tables(summary: Summary, model: str) -> tuple[Table, ...]:
    """What there is to tell; each is left out where it would be empty."""
    tables = (
        aggregate_table(summary, model),
        sensitivity_table(summary, model),
        comparison_table(summary, model),
        searches.search_table(summary, model),
    )
    return tuple(table for table in tables if table)


def aggregate_table(summary: Summary, model: str) -> Table | None:
    """Interquartile mean, and how likely the best method is better; None with one task."""
    own = [one for one in summary.aggregates if one.model == model]
    if len(own) < 2 or len(summary.tasks) < 2:
        return None
    ordered = sorted(own, key=lambda one: -one.interquartile_mean.value)
    return Table(
        name=f"aggregates-{summary.models.index(model)}",
        title=f"All tasks and seeds on {model}",
        caption="Scores corrected for chance: 0 is the better baseline of the task, 100 a "
        "perfect score. Interquartile mean: of the middle half of all runs, so that one "
        "collapsed run does not decide. Probability of improvement: that a run of "
        f"{ordered[0].method} is better than one of this method, on a task drawn at random. "
        "Brackets: 95 % interval over seeds, the tasks being fixed (arXiv:2108.13264).",
        columns=(
            Column(title="Method", is_number=False, sorts_first="ascending"),
            Column(title="Interquartile mean", is_sorted=True),
            Column(title="Probability of improvement", note=f"of {ordered[0].method}"),
            Column(title="Average rank", sorts_first="ascending"),
        ),
        rows=tuple(_aggregate_row(summary, one) for one in ordered),
        notes=_rank_notes(summary, model),
    )


def sensitivity_table(summary: Summary, model: str) -> Table | None:
    """Rank by PSCP under several opinions of what is expensive."""
    found = rankings([s for s in summary.standings if s.model == model])
    if not found or len(found[0].scores) < 2:
        return None
    published = found[0].ranks
    return Table(
        name=f"sensitivity-{summary.models.index(model)}",
        title=f"How the ranking by PSCP moves on {model}",
        caption="Rank by PSCP, with PSCP behind it. The betas weigh parameters (p), FLOPs (f) "
        "and memory (m), the others staying at 1; with all at 0 costs do not count. Medians: "
        "constants at the median cost of these methods instead of the published ones. A "
        "composite is an opinion: a method that leads in one column alone leads by that "
        "column's opinion.",
        columns=(
            Column(title="Method", is_number=False, sorts_first="ascending"),
            *(
                Column(
                    title=ranking.opinion.name,
                    sorts_first="ascending",
                    is_sorted=ranking is found[0],
                )
                for ranking in found
            ),
        ),
        rows=tuple(
            Row(
                header=method,
                cells=tuple(
                    Cell(
                        text=f"{ranking.ranks[method]:g}",
                        value=ranking.ranks[method],
                        note=numbers.points(ranking.scores[method]),
                        mark="best" if ranking.ranks[method] == 1 else "",
                    )
                    for ranking in found
                ),
            )
            for method in sorted(published, key=lambda name: published[name])
        ),
    )


def comparison_table(summary: Summary, model: str) -> Table | None:
    """The best of each task against every other method."""
    own = [one for one in summary.comparisons if one.model == model]
    if not own:
        return None
    return Table(
        name=f"comparisons-{summary.models.index(model)}",
        title=f"The best of each task against the others on {model}",
        caption="Difference in headline score times 100, best minus other, on the same test "
        "rows, with its 95 % interval over seeds and rows (paired bootstrap). p: of no "
        "difference, Holm-corrected over the methods of the task. McNemar: where every row is "
        "right or wrong, of equal accuracy of these trained models on other rows; exact with "
        "one run each, rows being clusters with several seeds; not corrected.",
        columns=(
            Column(title="Task", is_number=False, sorts_first="ascending"),
            Column(title="Best", is_number=False, sorts_first="ascending"),
            Column(title="Other", is_number=False, sorts_first="ascending"),
            Column(title="Difference"),
            Column(title="p", note="Holm", sorts_first="ascending"),
            Column(title="p", note="McNemar", sorts_first="ascending"),
        ),
        rows=tuple(_comparison_row(one) for one in own),
    )


def _aggregate_row(summary: Summary, one: Aggregate) -> Row:
    rank = next(
        s.average_rank for s in standings(summary, one.model) if s.method == one.method
    )
    return Row(
        header=one.method,
        cells=(
            _estimate(one.interquartile_mean),
            empty("the best") if one.improvement is None else _estimate(one.improvement),
            Cell(text=numbers.rank(rank), value=rank),
        ),
    )


def _rank_notes(summary: Summary, model: str) -> tuple[str, ...]:
    """What the tests of ranks over tasks say."""
    tested = summary.rank_tests.get(model)
    if tested is None:
        return ()
    sure = "differ" if tested.friedman_p_value < LEVEL else "may well be equal"
    return (
        f"Ranks over {len(summary.tasks)} tasks: the methods {sure} (Friedman, p "
        f"{p_value(tested.friedman_p_value)}). Two average ranks differ beyond chance where "
        f"they are {numbers.rank(tested.distance)} apart (Nemenyi, 5 %).",
    )


def _comparison_row(one: Comparison) -> Row:
    difference = one.difference
    return Row(
        header=one.task,
        cells=(
            Cell(text=one.best),
            Cell(text=one.method),
            Cell(
                text=numbers.score(difference.mean),
                value=difference.mean,
                note=f"{numbers.score(difference.low)} to {numbers.score(difference.high)}",
            ),
            Cell(text=p_value(one.adjusted_p_value), value=one.adjusted_p_value),
            empty()
            if one.mcnemar_p_value is None
            else Cell(text=p_value(one.mcnemar_p_value), value=one.mcnemar_p_value),
        ),
    )


def p_value(value: float) -> str:
    """A p-value to three decimals, and no smaller than it can be trusted.

    >>> p_value(0.0312), p_value(0.00004), p_value(1.0)
    ('0.031', '< 0.001', '1.000')
    """
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _estimate(found: Estimate) -> Cell:
    note = ""
    if found.low is not None and found.high is not None and not math.isnan(found.low):
        note = f"{numbers.score(found.low)} to {numbers.score(found.high)}"
    return Cell(text=numbers.score(found.value), value=found.value, note=note)
