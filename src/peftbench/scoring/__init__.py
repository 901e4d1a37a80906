"""From results to rankings: pure functions."""

from __future__ import annotations

from peftbench.scoring.intervals import mean_interval
from peftbench.scoring.pareto import pareto_front
from peftbench.scoring.penalties import ppt, pscp, pscp_factors, soft_penalty
from peftbench.scoring.ranks import average_ranks, ranks
from peftbench.scoring.summarise import summarise, to_rows
from peftbench.scoring.summary import Summary
from peftbench.scoring.ties import tied_with_best

__all__ = [
    "Summary",
    "average_ranks",
    "mean_interval",
    "pareto_front",
    "ppt",
    "pscp",
    "pscp_factors",
    "ranks",
    "soft_penalty",
    "summarise",
    "tied_with_best",
    "to_rows",
]
