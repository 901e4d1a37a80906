"""Which method to use under a budget, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from peftbench.scoring.columns import COLUMNS
from peftbench.scoring.summary import Standing, Summary
from peftbench.spec.facts import Better


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Why one method can be used or not."""

    method: str
    over: tuple[str, ...] = ()
    """Columns whose budget it exceeds."""
    unknown: tuple[str, ...] = ()
    """Columns of a budget that were not measured for it, or a missing mean score."""

    @property
    def is_feasible(self) -> bool:
        """Whether it is known to fit every budget and has a score to compare."""
        return not self.over and not self.unknown


@dataclass(frozen=True, kw_only=True)
class Recommendation:
    """The choice among the methods that fit the budgets of one model."""

    model: str
    leader: Standing
    """Best mean score."""
    chosen: Standing
    """The cheapest of those that are not told from the leader."""
    tied: tuple[Standing, ...]
    """Others not told from the leader, best first."""
    is_alone: bool
    """Whether it was the only one that fits."""
    better: Better
    """Which way mean scores count."""
    is_tested: bool
    """Whether row scores were there to test ties with."""


def judge(
    standings: Sequence[Standing], budgets: Mapping[str, float]
) -> tuple[Verdict, ...]:
    """Which methods fit: `budgets` are upper bounds of columns, by name."""
    return tuple(_verdict(standing, budgets) for standing in standings)


def recommend(
    summary: Summary, model: str, *, prefer: str = "trainable_parameters"
) -> Recommendation | None:
    """The choice among all methods of `summary`, which must hold those that fit alone: ties
    are those with the best of them. None where no method has a mean score.

    Of methods that the paired bootstrap does not tell from the leader (Holm, 5 %) the one
    that costs least in the column `prefer` is chosen: what cannot be told apart should not
    be paid for.
    """
    scored = best_first(
        [s for s in summary.standings if s.model == model and s.mean_score is not None],
        summary.mean_better,
    )
    if not scored:
        return None
    leader = scored[0]
    tied = [s for s in scored[1:] if s.is_mean_tied]
    cost = COLUMNS[prefer].value

    def price(standing: Standing) -> tuple[bool, float, int]:
        found = cost(standing)
        return found is None, found or 0.0, scored.index(standing)

    return Recommendation(
        model=model,
        leader=leader,
        chosen=min([leader, *tied], key=price),
        tied=tuple(tied),
        is_alone=len(scored) == 1,
        better=summary.mean_better,
        is_tested=leader.mean_interval is not None,
    )


def best_first(standings: Sequence[Standing], better: Better) -> list[Standing]:
    """By mean score; those without one last."""
    sign = -1 if better == "higher" else 1
    return sorted(
        standings,
        key=lambda s: math.inf if s.mean_score is None else sign * s.mean_score,
    )


def _verdict(standing: Standing, budgets: Mapping[str, float]) -> Verdict:
    found = {name: COLUMNS[name].value(standing) for name in budgets}
    unknown = [name for name, value in found.items() if value is None]
    if standing.mean_score is None:
        unknown.append("mean_score")
    return Verdict(
        method=standing.method,
        over=tuple(n for n, v in found.items() if v is not None and v > budgets[n]),
        unknown=tuple(unknown),
    )
