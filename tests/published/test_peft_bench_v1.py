"""The published table: its own averages come out of it, or the report says why not."""

from __future__ import annotations

import csv
import io

import pytest
from published_builder import own_record, published_record

from peftbench import published
from peftbench.errors import InvalidSpec, UnknownName
from peftbench.report import FORMATS, render
from peftbench.report.costs import cost_tables
from peftbench.report.words import how_sure
from peftbench.scoring import Summary, pscp
from peftbench.scoring.summarise import summarise
from peftbench.store import PlannedCell, Record

#: PSCP as printed in the paper's table 3, and to four digits by its formula.
PRINTED = {
    "ia3": (55.62, 55.6163),
    "prompt-tuning": (29.49, 29.4872),
    "prefix-tuning": (33.18, 33.1758),
    "p-tuning": (29.26, 29.2626),
    "lora": (60.08, 60.0792),
    "ln-tuning": (60.19, 60.1936),
}


@pytest.fixture(scope="module")
def table() -> published.Published:
    return published.read("published/peft-bench-v1")


@pytest.fixture(scope="module")
def summary(table: published.Published) -> Summary:
    return published.summary_of(table)


def test_the_table_is_whole(table: published.Published) -> None:
    assert len(table.tasks) == 27
    assert table.columns[0] == "base"
    assert all(0 <= s <= 100 for task in table.tasks.values() for s in task.scores)
    assert table.score("lora", "mnli") == 91.1
    assert table.score("bitfit", "mnli") is None


@pytest.mark.parametrize("method", PRINTED)
def test_the_published_pscp_follows_from_the_published_inputs(
    table: published.Published, method: str
) -> None:
    stated = table.methods[method]
    assert stated.mean_score is not None
    assert stated.forward_tflops is not None
    found = pscp(
        stated.mean_score,
        stated.trainable_parameters or 0,
        round(stated.forward_tflops - table.base_forward_tflops, 2),
        stated.peak_memory_gb or 0,
    )
    printed, exact = PRINTED[method]
    assert stated.pscp == printed
    assert found == pytest.approx(exact, abs=1e-4)


def test_means_of_all_27_tasks_and_what_the_stated_ones_leave_out(summary: Summary) -> None:
    claims = {claim.method: claim for claim in summary.claims}
    means = {m: round(c.mean, 2) for m, c in claims.items() if c.mean is not None}
    assert means == {
        "ia3": 74.74,
        "prompt-tuning": 50.19,
        "prefix-tuning": 41.93,
        "p-tuning": 54.72,
        "lora": 77.94,
        "ln-tuning": 75.61,
    }
    assert claims["ia3"].explanation == "the mean of all 27 tasks"
    for method, task in (
        ("lora", "apps"), ("ln-tuning", "apps"), ("prompt-tuning", "svamp"),
    ):  # fmt: skip
        assert claims[method].explanation.startswith(f"the mean without {task};")
    assert "does not explain it" in claims["prefix-tuning"].explanation
    assert "no single task explains it" in claims["p-tuning"].explanation
    assert (claims["bitfit"].mean, claims["bitfit"].pscp) == (None, None)


def test_pscp_over_all_tasks_turns_a_gap_into_noise(summary: Summary) -> None:
    found = {s.method: s.pscp for s in summary.standings if s.pscp is not None}
    assert {m: round(v, 2) for m, v in found.items()} == {
        "ia3": 55.64,
        "prompt-tuning": 29.60,
        "prefix-tuning": 30.30,
        "p-tuning": 30.97,
        "lora": 58.46,
        "ln-tuning": 58.50,
    }
    for claim in summary.claims:
        assert claim.pscp == pytest.approx(found.get(claim.method)) or claim.pscp is None


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_shows_it_as_what_it_is(summary: Summary, name: str) -> None:
    text = render(summary, name)  # type: ignore[arg-type]
    assert "peft-bench-v1" in text
    assert "77.9" in text or name == "csv"
    if name in ("html", "md"):
        assert "not runs of peftbench" in text
    if name in ("html", "md", "latex"):
        assert "the mean without apps" in text
        assert "Protocol peft-bench" in text
    if name == "csv":
        rows = list(csv.DictReader(io.StringIO(text)))
        assert len(rows) == 27 * 7
        assert {row["protocol"] for row in rows} == {"peft-bench"}
        assert {row["seed"] for row in rows} == {"-"}
    if name == "json":
        assert Summary.model_validate_json(text) == summary


def test_nothing_is_called_sure_or_measured(summary: Summary) -> None:
    said = " ".join(how_sure(summary))
    assert "seed was run" not in said
    assert "paired test" not in said
    assert all(entry.interval and entry.interval.low is None for entry in summary.entries)
    assert {t.name for t in cost_tables(summary, summary.models[0])} == {
        "pscp-0",
        "claims-0",
    }
    assert summary.manifests == ()


def test_published_and_own_results_do_not_share_a_table(summary: Summary) -> None:
    records = [own_record("peft-bench"), published_record()]
    with pytest.raises(InvalidSpec, match=r"published and run do not share a table"):
        _summarise(records)


def test_two_protocols_do_not_share_a_table() -> None:
    with pytest.raises(InvalidSpec, match=r"protocols strict and peft-bench do not share"):
        _summarise([own_record("strict"), own_record("peft-bench")])


def test_an_unknown_publication_is_refused_with_those_there_are() -> None:
    with pytest.raises(UnknownName, match=r"Did you mean 'peft-bench-v1'\?"):
        published.read("published/peft-bench-v2")


def _summarise(records: list[Record]) -> Summary:
    planned = [
        PlannedCell(cell=r.cell, model="m", label=r.cell.method.name, task=r.task)
        for r in records
    ]
    by_id = {record.cell.id: record for record in records}
    return summarise("both", {}, planned, by_id, [], lambda _: None)
