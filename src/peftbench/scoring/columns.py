"""What methods can be compared by: every number that a standing has, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from peftbench.cost.costs import Cost
from peftbench.errors import UnknownName
from peftbench.scoring.summary import Standing, Summary
from peftbench.spec.facts import Better


@dataclass(frozen=True, kw_only=True)
class Column:
    """One number of a method on a model over all tasks; None where it is not known."""

    title: str
    unit: str
    better: Better
    value: Callable[[Standing], float | None]
    is_cost: bool = False


def _measured(title: str, unit: str, value: Callable[[Cost], float | None]) -> Column:
    def found(standing: Standing) -> float | None:
        return None if standing.cost is None else value(standing.cost)

    return Column(title=title, unit=unit, better="lower", value=found, is_cost=True)


COLUMNS: Mapping[str, Column] = {
    "mean_score": Column(
        title="mean score", unit="", better="higher", value=lambda s: s.mean_score
    ),
    "average_rank": Column(
        title="average rank", unit="", better="lower", value=lambda s: s.average_rank
    ),
    "pscp": Column(title="PSCP", unit="", better="higher", value=lambda s: s.pscp),
    "ppt": Column(title="PPT", unit="", better="higher", value=lambda s: s.ppt),
    "trainable_parameters": _measured(
        "trainable parameters", "", lambda c: c.trainable_parameters
    ),
    "stored_bytes": _measured("stored bytes", "B", lambda c: c.stored_bytes),
    "peak_memory_bytes": _measured("peak memory", "B", lambda c: c.peak_memory.total),
    "forward_flops": _measured("forward FLOPs", "FLOPs", lambda c: c.forward_flops),
    "extra_forward_flops": _measured(
        "extra forward FLOPs", "FLOPs", lambda c: max(0, c.extra_forward_flops)
    ),
    "training_step_flops": _measured(
        "training step FLOPs", "FLOPs", lambda c: c.training_step_flops
    ),
    "step_seconds": _measured("step time", "s", lambda c: c.step_seconds),
}


def turned(column: Column, summary: Summary) -> Column:
    """The column as it counts in a summary: mean scores may be the better the lower."""
    if column is not COLUMNS["mean_score"] or summary.mean_better == "higher":
        return column
    return replace(column, better="lower", title="mean score (lower is better)")


def reason(name: str, summary: Summary) -> str:
    """Why nobody has a number in a summary; empty where somebody may."""
    refused = {
        "mean_score": summary.no_mean,
        "pscp": summary.no_pscp,
        "ppt": summary.no_pscp,
    }
    return refused.get(name.replace("-", "_"), "")


def column(name: str) -> Column:
    """The column of this name; raises `UnknownName` with a suggestion."""
    found = COLUMNS.get(name.replace("-", "_"))
    if found is None:
        raise UnknownName("column", name, COLUMNS)
    return found
