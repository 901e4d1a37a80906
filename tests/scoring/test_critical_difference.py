"""Ranks over tasks: Demšar's numbers, and cliques by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import friedmanchisquare, wilcoxon

from peftbench.scoring.critical_difference import (
    critical_difference,
    friedman,
    nemenyi_distance,
    wilcoxon_holm,
)


@pytest.mark.parametrize(
    ("methods", "q"), [(2, 1.960), (3, 2.343), (5, 2.728), (10, 3.164)]
)
def test_the_critical_values_are_those_of_the_paper(methods: int, q: float) -> None:
    """Table 5(a), for alpha = 0.05."""
    found = nemenyi_distance(methods, 14)
    assert found == pytest.approx(q * np.sqrt(methods * (methods + 1) / 84), abs=2e-3)


def scores(gaps: dict[str, float], tasks: int = 12) -> list[dict[str, float]]:
    chance = np.random.default_rng(0)
    return [
        {name: 0.5 + gap + chance.normal(0, 0.01) for name, gap in gaps.items()}
        for _ in range(tasks)
    ]


def test_methods_that_are_alike_stand_together_and_others_apart() -> None:
    found = critical_difference(scores({"a": 0.3, "b": 0.3, "c": 0.0, "d": 0.0}))
    assert found is not None
    assert found.friedman_p_value < 0.001
    for cliques in (found.nemenyi_cliques, found.wilcoxon_cliques):
        assert {frozenset(clique) for clique in cliques} == {
            frozenset("ab"),
            frozenset("cd"),
        }


def test_two_tasks_tell_nothing_apart() -> None:
    found = critical_difference(scores({"a": 0.3, "b": 0.2, "c": 0.0}, tasks=2))
    assert found is not None
    assert [set(clique) for clique in found.nemenyi_cliques] == [{"a", "b", "c"}]


def test_a_method_without_a_score_somewhere_is_left_out() -> None:
    tasks = scores({"a": 0.3, "b": 0.2, "c": 0.1, "d": 0.0})
    del tasks[0]["b"]
    found = critical_difference(tasks)
    assert found is not None
    assert set(found.average_ranks) == {"a", "c", "d"}


def test_too_little_has_no_test() -> None:
    assert critical_difference(scores({"a": 0.1, "b": 0.0})) is None
    assert critical_difference(scores({"a": 0.2, "b": 0.1, "c": 0.0}, tasks=1)) is None
    assert critical_difference([]) is None


def test_friedman_is_scipys_and_defined_where_all_are_tied() -> None:
    columns = [[1.0, 2, 3, 5], [2.0, 3, 1, 4], [9.0, 8, 7, 6]]
    assert friedman(columns) == pytest.approx(friedmanchisquare(*columns).pvalue)
    assert friedman([[1.0, 2.0]] * 3) == 1.0


def test_wilcoxon_is_corrected_over_all_pairs() -> None:
    columns = {"a": [5.0, 6, 7, 8, 9, 10], "b": [1.0, 3, 2, 4, 3, 5], "c": [1.0] * 6}
    raw = wilcoxon(np.subtract(columns["a"], columns["c"])).pvalue
    found = wilcoxon_holm(columns)
    assert found["a", "c"] == pytest.approx(min(1.0, 3 * raw))
    assert wilcoxon_holm({"a": [1.0] * 6, "b": [1.0] * 6})["a", "b"] == 1.0
