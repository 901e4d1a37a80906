"""The tables of costs: PSCP with its factors, and what the meter measured."""

from __future__ import annotations

import math

from peftbench.report import numbers, others
from peftbench.report.meter import NOT_MEASURED, meter_tables
from peftbench.report.results import mean_column, standings
from peftbench.report.table import TIED_MARK, Cell, Column, Row, Table, empty
from peftbench.scoring.penalties import (
    MEMORY_CONSTANT_GB,
    PARAMETER_CONSTANT,
    TFLOPS_CONSTANT,
)
from peftbench.scoring.summary import Standing, Summary

PSCP_CAPTION = (
    "PSCP (PEFT Soft Cost Penalties, arXiv:2511.21285) = mean score × parameter factor × "
    "FLOPs factor × memory factor, each factor 1 / (1 + cost / constant): 1 is free, ½ is "
    f"reached at the constant. Constants: {numbers.si(PARAMETER_CONSTANT, '').strip()} "
    f"trainable parameters, {TFLOPS_CONSTANT:g} TFLOPs more than the base model for one "
    f"input, {MEMORY_CONSTANT_GB:g} GB of peak training memory. The constants are an opinion "
    "of what is expensive: look at the factors and at the costs below before you rely on it. "
    f"{TIED_MARK}: not told apart from the best PSCP (paired bootstrap, 5 %, Holm-corrected; "
    "costs taken as exact). PPT (arXiv:2402.02242) counts parameters alone: mean score × "
    "exp(−log₁₀(parameters / 10⁷ + 1))."
)


def cost_tables(summary: Summary, model: str) -> tuple[Table, ...]:
    """What there is to tell of costs on a model: PSCP, the meter's tables, what imports tell
    and what publications state."""
    own = standings(summary, model)
    name = f"-{summary.models.index(model)}"
    tables = (
        pscp_table(summary, model) if any(s.pscp_inputs for s in own) else None,
        *(
            meter_tables([(s.method, s.cost) for s in own], name, f" on {model}")
            if any(s.cost for s in own)
            else ()
        ),
        others.reported_table(summary, model),
        others.claim_table(summary, model),
    )
    return tuple(table for table in tables if table)


def pscp_table(summary: Summary, model: str) -> Table:
    """Mean score, the three factors with the costs behind them, and PSCP."""
    ordered = sorted(
        standings(summary, model), key=lambda s: math.inf if s.pscp is None else -s.pscp
    )
    best = ordered[0].pscp if len(ordered) > 1 else None
    return Table(
        name=f"pscp-{summary.models.index(model)}",
        title=f"PSCP on {model}",
        caption=PSCP_CAPTION,
        columns=(
            Column(title="Method", is_number=False, sorts_first="ascending"),
            mean_column(summary),
            Column(title="Parameter factor", note="trainable"),
            Column(title="FLOPs factor", note="extra, one input"),
            Column(title="Memory factor", note="peak, training"),
            Column(title="PSCP", is_sorted=any(s.pscp is not None for s in ordered)),
            Column(title="PPT", note="parameters alone"),
        ),
        rows=tuple(Row(header=s.method, cells=_pscp_cells(s, best)) for s in ordered),
        notes=(f"There is neither PSCP nor PPT: {summary.no_pscp}.",)
        if summary.no_pscp
        else (),
    )


def _pscp_cells(standing: Standing, best: float | None) -> tuple[Cell, ...]:
    mean = Cell(text=numbers.points(standing.mean_score), value=standing.mean_score)
    inputs = standing.pscp_inputs
    if inputs is None:
        return (mean, *(empty(NOT_MEASURED) for _ in range(5)))
    behind = (
        (standing.parameter_factor, numbers.si(inputs.trainable_parameters, "").strip()),
        (standing.flops_factor, numbers.si(inputs.extra_forward_flops, "FLOPs")),
        (standing.memory_factor, numbers.si(inputs.peak_memory_bytes, "B")),
    )
    return (
        mean,
        *(Cell(text=numbers.factor(f), value=f, note=note) for f, note in behind),
        Cell(
            text=numbers.points(standing.pscp),
            value=standing.pscp,
            mark="best"
            if standing.pscp is not None and standing.pscp == best
            else "tied"
            if standing.is_pscp_tied
            else "",
        ),
        Cell(text=numbers.points(standing.ppt), value=standing.ppt),
    )
