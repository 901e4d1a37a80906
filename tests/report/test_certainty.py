"""How sure a report is, and says: opinions behind PSCP, comparisons, aggregates, ranks."""

from __future__ import annotations

import pytest
from builder import build

from peftbench.published import read, summary_of
from peftbench.report import Format, render
from peftbench.report.certainty import certainty_tables
from peftbench.report.certainty_figures import certainty_figures
from peftbench.report.searches import search_figures
from peftbench.scoring.sensitivity import rankings
from peftbench.scoring.summary import (
    PROFILE_THRESHOLDS,
    Aggregate,
    Comparison,
    CriticalDifference,
    Difference,
    Estimate,
    Search,
    Summary,
)
from peftbench.store import TrialResult


def test_without_betas_it_is_the_ranking_by_score() -> None:
    made = build(
        {"dear": {"t": [0.9]}, "cheap": {"t": [0.8]}}, costs={"dear": 9, "cheap": 1}
    )
    by_name = {r.opinion.name: r for r in rankings(made.standings)}
    assert by_name["all β = 0"].ranks == {"dear": 1.0, "cheap": 2.0}
    assert by_name["all β = 0"].scores == pytest.approx({"dear": 90.0, "cheap": 80.0})


def test_medians_make_the_costs_of_small_models_count() -> None:
    made = build(
        {"dear": {"t": [0.9]}, "cheap": {"t": [0.8]}},
        costs={"dear": 900_000, "cheap": 9_000},
    )
    by_name = {r.opinion.name: r for r in rankings(made.standings)}
    assert by_name["published"].ranks["dear"] == 1.0
    assert by_name["medians"].ranks["cheap"] == 1.0


def test_the_published_opinion_gives_the_summary_s_own_pscp() -> None:
    summary = summary_of(read("published/peft-bench-v1"))
    rated = [s for s in summary.standings if s.pscp is not None]
    published = rankings(rated)[0]
    assert published.scores == pytest.approx({s.method: s.pscp for s in rated})


def test_nothing_rated_has_no_ranking_to_move() -> None:
    made = build({"a": {"t": [0.9]}, "b": {"t": [0.8]}})
    assert all(not ranking.scores for ranking in rankings(made.standings))


def certain() -> Summary:
    """Two methods told apart, compared and aggregated by hand."""
    made = build(
        {
            "lora": {"a": [0.9, 0.8], "b": [0.7, 0.7]},
            "ia3": {"a": [0.6, 0.5], "b": [0.6, 0.5]},
        },
        costs={"lora": 9_000, "ia3": 100},
    )
    estimate = Estimate(value=0.62, low=0.55, high=0.7)
    return made.model_copy(
        update={
            "comparisons": (
                Comparison(
                    model="tiny",
                    task="a",
                    best="lora",
                    method="ia3",
                    difference=Difference(mean=0.3, low=0.21, high=0.39, p_value=0.0001),
                    adjusted_p_value=0.0001,
                    mcnemar_p_value=0.0123,
                ),
            ),
            "aggregates": tuple(
                Aggregate(
                    model="tiny",
                    method=method,
                    interquartile_mean=estimate,
                    improvement=None if method == "lora" else estimate,
                    profile=tuple(1 - t for t in PROFILE_THRESHOLDS),
                )
                for method in ("lora", "ia3")
            ),
            "rank_tests": {
                "tiny": CriticalDifference(
                    friedman_p_value=0.012,
                    distance=1.39,
                    average_ranks={"lora": 1.0, "ia3": 2.0},
                    nemenyi_cliques=(("lora", "ia3"),),
                    wilcoxon_cliques=(),
                )
            },
        }
    )


@pytest.mark.parametrize("format_", ["html", "md", "latex"])
def test_every_format_says_how_sure_the_ranking_is(format_: Format) -> None:
    text = render(certain(), format_)
    assert "All tasks and seeds" in text
    assert "How the ranking by PSCP moves" in text
    assert "21.0 to 39.0" in text
    assert "0.012" in text
    assert "1.39" in text


def test_the_page_draws_ranks_profiles_and_the_heat_map() -> None:
    found = {figure.name: figure for figure in certainty_figures(certain(), "tiny")}
    assert set(found) == {"ranks-0-0", "profiles-0-0", "sensitivity-0-0"}
    line, points = found["ranks-0-0"].data
    assert line["y"] == [0, 1]  # one clique, over both
    assert points["x"] == [2.0, 1.0]  # the best on top
    assert [p["y"][0] for p in found["profiles-0-0"].data] == pytest.approx([120.0] * 2)


def test_nothing_to_compare_leaves_the_section_out() -> None:
    made = build({"lora": {"a": [0.9]}})
    assert certainty_tables(made, "tiny") == ()
    assert certainty_figures(made, "tiny") == []


def test_a_search_is_shown_with_what_fewer_trials_would_have_found() -> None:
    trials = tuple(
        TrialResult(
            number=i,
            settings={"learning_rate": 10.0 ** -(i + 1)},
            score=score,
            runs=("c",),
        )
        for i, score in enumerate((0.5, 0.7, None, 0.6))
    )
    search = Search(
        model="tiny", method="lora", task="a", trials=trials, chosen=1,
        expected_best=(0.6, 0.65, 0.67),
    )  # fmt: skip
    made = certain().model_copy(update={"searches": (search,)})
    [table] = [t for t in certainty_tables(made, "tiny") if t.name == "searches-0"]
    [row] = table.rows
    assert [cell.text for cell in row.cells] == [
        "lora", "4", "50.0", "65.0", "70.0", "learning_rate 0.01",
    ]  # fmt: skip
    assert row.cells[1].note == "1, 0"  # one failed
    [figure] = search_figures(made, "tiny")
    assert figure.data[0]["y"] == pytest.approx([60.0, 65.0, 67.0])
    for format_ in ("html", "md", "latex"):
        assert "Tuning on tiny" in render(made, format_)
