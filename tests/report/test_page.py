"""What the page shows of unusual benchmarks, and that it leaves out what is empty."""

from __future__ import annotations

import re
from typing import get_args

import pytest

from peftbench.report import Format, costs, figures, render, results, setup, words
from peftbench.scoring.summary import Summary
from report.builder import build


def page(summary: Summary) -> str:
    """The page without its scripts, which are long."""
    text = render(summary, "html")
    return text[: text.index("<script")]


def test_page_loads_nothing_from_elsewhere(usual: Summary) -> None:
    text = page(usual)
    assert not re.findall(r'(?:src|href)="(?!#|data:)[^"]*"', text)
    assert "@import" not in text
    assert "url(" not in text


def test_report_without_costs_has_no_empty_places() -> None:
    summary = build({"lora": {"sst2": [0.9]}, "ia3": {"sst2": [0.8]}})
    assert "PSCP" not in page(summary)
    assert "Score against" not in page(summary)
    for format_ in get_args(Format):
        assert render(summary, format_)


def test_costs_of_some_methods_are_said_to_be_missing(usual: Summary) -> None:
    first, *others = usual.standings
    factors = ("cost", "pscp", "parameter_factor", "flops_factor", "memory_factor")
    bare = first.model_copy(update=dict.fromkeys(factors))
    summary = usual.model_copy(update={"standings": (bare, *others)})
    table = costs.pscp_table(summary, "tiny")
    (row,) = [row for row in table.rows if row.header == bare.method]
    assert [cell.note for cell in row.cells[1:]] == [costs.NOT_MEASURED] * 5
    assert 'id="parameters-0-0"' in page(summary)


def test_tasks_that_nobody_answers_are_named_in_one_sentence() -> None:
    scores = {"lora": {"rte": [0.2], "cb": [0.3], "copa": [0.9]}}
    sentences = [
        s for s in words.verdict(build(scores), "tiny") if "ignores the prompt" in s
    ]
    assert sentences == [
        "On rte (31.0) and cb (31.0), no method is better than an answer that ignores the "
        "prompt."
    ]


def test_settings_that_differ_from_task_to_task_are_all_named(usual: Summary) -> None:
    [first, *rest] = usual.methods
    tuned = first.model_copy(
        update={
            "parameters": {"rank": 4, "alpha": 16},
            "learning_rate": None,
            "varied": {"rank": (4, 8), "learning_rate": (0.005, 0.001)},
        }
    )
    table = setup.method_table(usual.model_copy(update={"methods": (tuned, *rest)}))
    texts = [cell.text for cell in table.rows[0].cells]
    assert "rank 4 or 8, alpha 16" in texts
    assert "0.001 to 0.005" in texts
    assert "from task to task" in table.caption
    assert "from task to task" not in setup.method_table(usual).caption


def test_one_look_at_validation_is_no_curve(usual: Summary) -> None:
    assert figures.learning_curves(usual, "tiny")
    once = [c.model_copy(update={"validations": c.validations[:1]}) for c in usual.curves]
    summary = usual.model_copy(update={"curves": tuple(once)})
    assert not figures.learning_curves(summary, "tiny")
    assert "Learning curves" not in page(summary)


def test_report_of_nothing_but_failures() -> None:
    summary = build({"lora": {"sst2": [None, None]}})
    for format_ in get_args(Format):
        assert render(summary, format_)
    text = page(summary)
    assert "0 of 2 runs finished" in text
    assert "1, 2" in text, "seeds with the same failure share a row"
    assert 'class="canvas' not in text
    assert len(render(summary, "html")) < 50_000, "plotly is left out"


@pytest.mark.parametrize("kind", ["md", "html", "latex"])
def test_seeds_of_equal_scores_are_not_called_one(kind: Format) -> None:
    equal = {"lora": {"sst2": [0.9, 0.9, 0.9]}, "ia3": {"sst2": [0.8, 0.8, 0.8]}}
    text = render(build(equal), kind)
    assert "One seed" not in text
    assert "3 seeds" in text


def test_one_method_and_one_seed_are_not_ranked() -> None:
    text = page(build({"lora": {"sst2": [0.9]}}))
    assert "there is nothing to rank" in text
    assert "One seed was run" in text
    assert "Score against" not in text
    assert 'id="bars-0-0"' in text


def test_every_model_has_its_own_section_and_plots() -> None:
    scores = {"lora": {"sst2": [0.9, 0.8]}, "ia3": {"sst2": [0.7, 0.8]}}
    summary = build(scores, models=("a/b", "c"), costs={"lora": 10_000, "ia3": 100})
    text = page(summary)
    names = re.findall(r' id="([^"]+)"', text)
    assert len(names) == len(set(names)), "no id twice"
    for name in ("model-0", "model-1", "results-1", "flops-1-0", "bars-1-0", "curves-1-0"):
        assert name in names


def test_lower_is_better_is_said_and_sorted_so() -> None:
    summary = build({"a": {"t": [0.9]}, "b": {"t": [0.1]}}, lower=("t",))
    text = page(summary)
    assert "accuracy ↓" in text
    assert "↓: lower is better" in text
    table = results.headline_table(summary, "tiny")
    assert table.columns[1].sorts_first == "ascending"
    assert [row.header for row in table.rows] == ["b", "a"]
    (bars,) = figures.task_bars(summary, "tiny")
    assert bars.layout["yaxis"]["ticktext"] == ["a", "b"], (
        "drawn from below, the best on top"
    )


def test_pareto_front_is_named_and_what_trains_nothing_is_drawn(usual: Summary) -> None:
    parameters, memory, flops = figures.trade_offs(usual, "tiny")
    assert (
        "On the Pareto front (dotted): base, ln-tuning, ia3 and lora;" in parameters.caption
    )
    assert "base, trains nothing" in parameters.layout["annotations"][0]["text"]
    assert {label["text"] for label in memory.labels} == {
        s.method for s in usual.standings if s.mean_score is not None
    }
    assert flops.labels[0]["text"] == "lora", "the front is labelled first"


def test_wide_intervals_leave_the_bars_readable() -> None:
    summary = build({"a": {"t": [0.1, 0.9]}, "b": {"t": [0.5, 0.5]}})
    (bars,) = figures.task_bars(summary, "tiny")
    low, high = bars.layout["xaxis"]["range"]
    assert low == 0
    assert 90 < high < 130
    assert "cut at the edge" in bars.caption


def test_whole_numbers_sort_as_numbers(usual: Summary) -> None:
    examples = setup.task_table(usual).columns[4]
    assert examples.title == "Test examples"
    assert examples.is_number
    assert setup.task_table(usual).rows[0].cells[3].value == 1200


@pytest.mark.parametrize("label", ["lora", "a" * 80])
def test_labels_in_plots_are_short(label: str) -> None:
    assert len(figures.short(label)) <= 22
    assert figures.short(label)[0] == label[0]


def test_one_generated_task_is_named(usual: Summary) -> None:
    assert any(
        sentence.startswith("generated_mood is generated by peftbench")
        for sentence in words.how_sure(usual)
    )
