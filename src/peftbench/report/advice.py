"""A recommendation in plain sentences: what to use, what speaks for it, how sure it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from peftbench.report import numbers
from peftbench.report.table import Cell, Column, Row, Table, empty, listed
from peftbench.scoring.columns import COLUMNS
from peftbench.scoring.recommend import Recommendation, Verdict, best_first
from peftbench.scoring.summary import Interval, Standing


def sentences(
    found: Recommendation | None,
    verdicts: Sequence[Verdict],
    budgets: Mapping[str, float],
    prefer: str,
) -> tuple[str, ...]:
    """The choice first, then how sure it is, then what was left out and why."""
    if found is None:
        return (
            f"No method of this store fits {_shown(budgets)} and has a score on every task.",
            *_left_out(verdicts),
        )
    chosen, leader = found.chosen, found.leader
    return (
        f"Use {chosen.method} on {found.model}: mean score {_score(chosen)}"
        f"{' (lower is better)' if found.better == 'lower' else ''}, "
        f"{_price(chosen, prefer)}, within {_shown(budgets)}.",
        *_certainty(found, leader, chosen, prefer),
        *_left_out(verdicts),
    )


def candidates(
    standings: Sequence[Standing], found: Recommendation, budgets: Mapping[str, float]
) -> Table:
    """The methods that fit, best first, with what they were held to."""
    columns = list(dict.fromkeys([*budgets, "trainable_parameters", "peak_memory_bytes"]))
    ordered = best_first(standings, found.better)
    lower = found.better == "lower"
    return Table(
        name="candidates",
        title=f"Methods that fit on {found.model}",
        caption="Mean score over tasks with its 95 % interval over seeds and test rows. Bold: "
        "best; †: not told apart from it by the paired bootstrap (5 %, Holm-corrected).",
        columns=(
            Column(title="Method", is_number=False, sorts_first="ascending"),
            Column(
                title="Mean score",
                note="↓" if lower else "",
                is_interval=True,
                is_sorted=True,
                sorts_first="ascending" if lower else "descending",
            ),
            *(Column(title=COLUMNS[name].title) for name in columns),
        ),
        rows=tuple(
            Row(
                header=standing.method,
                cells=(
                    Cell(
                        text=_score(standing),
                        value=standing.mean_score,
                        mark="best"
                        if standing.method == found.leader.method
                        else "tied"
                        if standing.is_mean_tied
                        else "",
                    ),
                    *(_cell(standing, name) for name in columns),
                ),
            )
            for standing in ordered
        ),
    )


def _certainty(
    found: Recommendation, leader: Standing, chosen: Standing, prefer: str
) -> list[str]:
    if found.is_alone:
        return ["It is the only one that fits: nothing was compared."]
    if not found.is_tested:
        return [
            "How sure that is cannot be said: there are no scores of single test rows, or only "
            "one seed, to test differences with."
        ]
    if not found.tied:
        return [
            f"It is ahead of every other method that fits, beyond chance (95 %, corrected "
            f"for the number of comparisons): {_interval(leader.mean_interval)}."
        ]
    maybe = [f"{s.method} ({numbers.points(s.mean_score)})" for s in (leader, *found.tied)]
    return [
        f"The test does not tell which of {listed(maybe)} is the best; {chosen.method} costs "
        f"least of them in {COLUMNS[prefer].title}.",
        "More seeds or test rows may tell: `peftbench plan --margin` says how many.",
    ]


def _left_out(verdicts: Sequence[Verdict]) -> list[str]:
    sentences = []
    over = [f"{v.method} ({listed(map(_title, v.over))})" for v in verdicts if v.over]
    if over:
        sentences.append(f"Over budget: {listed(over)}.")
    unknown = [
        f"{v.method} ({listed(map(_title, v.unknown))})"
        for v in verdicts
        if v.unknown and not v.over
    ]
    if unknown:
        sentences.append(f"Not considered, because a number is missing: {listed(unknown)}.")
    return sentences


def _title(name: str) -> str:
    return COLUMNS[name].title


def _shown(budgets: Mapping[str, float]) -> str:
    if not budgets:
        return "any budget"
    return listed(
        f"{COLUMNS[name].title} ≤ {numbers.si(bound, COLUMNS[name].unit).strip()}"
        for name, bound in budgets.items()
    )


def _price(standing: Standing, prefer: str) -> str:
    column = COLUMNS[prefer]
    value = column.value(standing)
    if value is None:
        return f"{column.title} not measured"
    return f"{numbers.si(value, column.unit).strip()} {column.title}"


def _score(standing: Standing) -> str:
    if standing.mean_interval is None:
        return numbers.points(standing.mean_score)
    return f"{numbers.points(standing.mean_score)} ({_interval(standing.mean_interval)})"


def _interval(interval: Interval | None) -> str:
    if interval is None or interval.low is None or interval.high is None:
        return "no interval"
    return f"{numbers.points(interval.low)} to {numbers.points(interval.high)}"


def _cell(standing: Standing, name: str) -> Cell:
    value = COLUMNS[name].value(standing)
    if value is None:
        return empty("not measured")
    return Cell(text=numbers.si(value, COLUMNS[name].unit).strip(), value=value)
