"""A recommendation in plain sentences: what to use, what speaks for it, how sure it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from peftbench.report import numbers
from peftbench.report.table import Cell, Column, Row, Table, empty, listed
from peftbench.scoring.columns import COLUMNS
from peftbench.scoring.recommend import Recommendation, Verdict, best_first
from peftbench.scoring.summary import Interval, Standing


@dataclass(frozen=True, repr=False)
class Advice:
    """Which method of a benchmark to use on a model, and why."""

    found: Recommendation | None
    """None where no method fits."""
    standings: tuple[Standing, ...]
    """Of the methods that fit."""
    verdicts: tuple[Verdict, ...]
    """Of all methods."""
    budgets: Mapping[str, float]
    prefer: str

    @property
    def sentences(self) -> tuple[str, ...]:
        """The choice first, then how sure it is, then what was left out and why."""
        return sentences(self.found, self.verdicts, self.budgets, self.prefer)

    @property
    def table(self) -> Table | None:
        """The methods that fit, best first; None where there are none."""
        return candidates(self.standings, self.found, self.budgets) if self.found else None

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        found = self.found
        return {
            "budgets": dict(self.budgets),
            "chosen": found.chosen.method if found else None,
            "leader": found.leader.method if found else None,
            "tied_with_leader": [one.method for one in found.tied] if found else [],
            "better": found.better if found else None,
            "is_tested": bool(found and found.is_tested),
            "candidates": [
                {
                    "method": one.method,
                    "mean_score": one.mean_score,
                    "low": one.mean_interval and one.mean_interval.low,
                    "high": one.mean_interval and one.mean_interval.high,
                }
                for one in self.standings
            ],
            "left_out": [
                {"method": one.method, "over": list(one.over), "unknown": list(one.unknown)}
                for one in self.verdicts
                if not one.is_feasible
            ],
        }

    def __repr__(self) -> str:
        return "\n".join(self.sentences)


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
