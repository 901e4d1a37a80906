"""Results of others: what they tell of costs and averages, and where they come from."""

from __future__ import annotations

import json
import math

from peftbench.report import numbers
from peftbench.report.table import Cell, Column, Row, Table, empty, listed
from peftbench.scoring.summary import Claim, ReportedRun, Summary
from peftbench.store.outcomes import Provenance, Reported

_REPORTED_CAPTION = (
    "As the import tells it, not measured here. Steps are the training steps alone, added up "
    "from their own times; a published training time above them also holds what else ran "
    "between its start and its end. Memory is what the tool logged, whatever that includes."
)
_CLAIM_CAPTION = (
    "An average that a publication states, and the mean of all tasks in its own table. Where "
    "they differ by more than rounding, the explanation names the tasks that the stated mean "
    "leaves out, if the numbers tell. PSCP is computed from the mean of all tasks and the "
    "published costs."
)


def reported_table(summary: Summary, model: str) -> Table | None:
    """Times, memory and sizes of single runs as imports tell them; None without any."""
    runs = [run for run in summary.reported_runs if run.model == model]
    if not runs:
        return None
    titles = (
        ("Trainable", "parameters"),
        ("Stored", "bytes"),
        ("Training", "published"),
        ("Steps", "their sum"),
        ("Ratio", "training to steps"),
        ("Validation", "time"),
        ("Memory", "mean"),
        ("Memory", "99th percentile"),
        ("Memory", "peak"),
        ("Speed", "tokens per second"),
    )
    return Table(
        name=f"reported-{summary.models.index(model)}",
        title=f"Reported costs on {model}",
        caption=_REPORTED_CAPTION,
        columns=(
            Column(title="Run", is_number=False, sorts_first="ascending"),
            *(Column(title=t, note=note, sorts_first="ascending") for t, note in titles),
        ),
        rows=tuple(Row(header=_name(summary, run), cells=_cells(run)) for run in runs),
    )


def claim_table(summary: Summary, model: str) -> Table | None:
    """Stated averages beside recomputed ones; None where nothing is stated."""
    claims = [claim for claim in summary.claims if claim.model == model]
    if not claims:
        return None
    return Table(
        name=f"claims-{summary.models.index(model)}",
        title=f"Published averages on {model}",
        caption=_CLAIM_CAPTION,
        columns=(
            Column(title="Method", is_number=False, sorts_first="ascending"),
            Column(title="Mean score", note="published"),
            Column(title="Mean score", note=f"all {len(summary.tasks)} tasks"),
            Column(title="Difference", note="published − all tasks"),
            Column(title="PSCP", note="published"),
            Column(title="PSCP", note="all tasks"),
            Column(title="Explanation", is_number=False),
        ),
        rows=tuple(Row(header=claim.method, cells=_claim_cells(claim)) for claim in claims),
    )


def provenance_facts(provenance: Provenance) -> tuple[tuple[str, str], ...]:
    """Where imported results come from, as terms and their values; what is not told is
    left out."""
    told = (
        ("Made by", provenance.tool),
        ("Read from", provenance.path),
        ("Imported", provenance.imported_at),
        *((_title(name), _text(value)) for name, value in provenance.facts.items()),
    )
    return tuple((term, value) for term, value in told if value)


def whose(summary: Summary) -> str:
    """A sentence on whose results these are; empty for runs of ours."""
    if summary.kind == "run":
        return ""
    tools = listed(dict.fromkeys(p.tool for p in summary.provenances) or ["others"])
    if summary.kind == "published":
        return (
            f"These are published results of {tools}, and not runs of peftbench: single "
            "values without test rows or seeds, so that nothing tells how sure they are."
        )
    return (
        f"These results were imported from {tools}: peftbench has not run them, and knows "
        "no more of them than the files say."
    )


def _name(summary: Summary, run: ReportedRun) -> str:
    """The method, with task and seed where it has several runs."""
    more = [run.task] * (len(summary.tasks) > 1)
    more += [f"seed {run.seed}"] * (len(summary.seeds) > 1 and run.seed != "-")
    return ", ".join([run.method, *more])


def _cells(run: ReportedRun) -> tuple[Cell, ...]:
    costs = run.costs
    return (
        _cell(numbers.count(costs.trainable_parameters), costs.trainable_parameters),
        _si(run.stored_bytes, "B"),
        _si(costs.train_seconds, "s"),
        _si(costs.step_seconds, "s"),
        _ratio(costs),
        _si(costs.evaluation_seconds, "s"),
        _si(costs.memory_mean_bytes, "B"),
        _si(costs.memory_p99_bytes, "B"),
        _si(costs.memory_peak_bytes, "B"),
        _si(costs.tokens_per_second, ""),
    )


def _ratio(costs: Reported) -> Cell:
    if costs.train_seconds is None or not costs.step_seconds:
        return empty()
    ratio = costs.train_seconds / costs.step_seconds
    return Cell(text=numbers.decimals(ratio, 2), value=ratio)


def _claim_cells(claim: Claim) -> tuple[Cell, ...]:
    difference = None if claim.mean is None else claim.stated_mean - claim.mean
    return (
        _cell(numbers.points(claim.stated_mean), claim.stated_mean),
        _points(claim.mean),
        _points(difference),
        _points(claim.stated_pscp),
        _points(claim.pscp),
        Cell(text=claim.explanation),
    )


def _points(value: float | None) -> Cell:
    """Two decimals, as these tables are compared to the last digit."""
    return empty() if value is None else Cell(text=numbers.decimals(value, 2), value=value)


def _si(value: float | None, unit: str) -> Cell:
    return _cell(numbers.si(value, unit).strip(), value)


def _cell(text: str, value: float | None) -> Cell:
    return Cell(text=text, value=None if value is None or math.isnan(value) else value)


def _title(name: str) -> str:
    text = name.replace("_", " ").strip()
    return text[:1].upper() + text[1:]


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
