"""Fronts over any two columns, whichever way is better, and the area they cover."""

from __future__ import annotations

import pytest

from peftbench.errors import UnknownName
from peftbench.scoring.columns import COLUMNS, column, reason, turned
from peftbench.scoring.pareto import front, hypervolume, pareto_front, points, worst
from peftbench.scoring.summary import Standing
from report.builder import build

COST, SCORE, RANK = (
    COLUMNS[name] for name in ("trainable_parameters", "mean_score", "average_rank")
)


def test_a_front_knows_which_way_each_column_is_better() -> None:
    found = {"cheap": (1.0, 50.0), "best": (9.0, 90.0), "beaten": (9.0, 60.0)}
    assert front(found, COST, SCORE) == ("cheap", "best")
    swapped = {name: (score, cost) for name, (cost, score) in found.items()}
    assert set(front(swapped, SCORE, COST)) == {"cheap", "best"}
    ranks = {"a": (1.0, 3.0), "b": (5.0, 1.0), "c": (6.0, 2.0)}
    assert front(ranks, COST, RANK) == ("a", "b")


def test_a_mean_of_errors_is_better_when_lower_and_a_missing_one_has_a_reason() -> None:
    errors = build({"a": {"t": [0.3]}, "b": {"t": [0.1]}}, lower=("t",))
    mean = turned(SCORE, errors)
    assert (mean.better, mean.title) == ("lower", "mean score (lower is better)")
    assert front({"a": (1.0, 30.0), "b": (1.0, 10.0)}, COST, mean) == ("b",)
    assert turned(RANK, errors) is RANK
    mixed = build({"a": {"t": [0.3], "u": [0.3]}}, lower=("t",))
    assert reason("mean-score", mixed) == mixed.no_mean != ""
    assert reason("average_rank", mixed) == ""
    assert reason("ppt", errors) == errors.no_pscp != ""


def test_equal_points_do_not_beat_each_other() -> None:
    assert pareto_front({"a": (1, 1), "b": (1, 1)}) == ("a", "b")


def test_the_hypervolume_by_hand() -> None:
    """Steps from (10, 0): the cheap one fills 8 x 3, the good one 4 x 2 more on top."""
    found = [(2.0, 3.0), (6.0, 5.0), (7.0, 4.0)]
    assert hypervolume(found, COST, SCORE, (10.0, 0.0)) == pytest.approx(8 * 3 + 4 * 2)


def test_what_is_worse_than_the_reference_adds_nothing() -> None:
    assert hypervolume([(11.0, 9.0), (1.0, -1.0)], COST, SCORE, (10.0, 0.0)) == 0.0
    assert hypervolume([], COST, SCORE, (10.0, 0.0)) == 0.0


def test_a_dominated_point_adds_nothing_and_a_new_best_adds_something() -> None:
    some = [(2.0, 3.0), (6.0, 5.0)]
    area = hypervolume(some, COST, SCORE, (10.0, 0.0))
    assert hypervolume([*some, (7.0, 4.0)], COST, SCORE, (10.0, 0.0)) == area
    assert hypervolume([*some, (9.0, 6.0)], COST, SCORE, (10.0, 0.0)) > area


def test_the_worst_of_both_columns_is_the_reference() -> None:
    assert worst([(2.0, 3.0), (6.0, 5.0)], COST, SCORE) == (6.0, 3.0)


def test_a_method_without_both_numbers_has_no_point() -> None:
    standings = [
        Standing(model="m", method="a", average_rank=1.0, mean_score=50.0),
        Standing(model="m", method="b", average_rank=None, mean_score=40.0),
    ]
    assert points(standings, SCORE, RANK) == {"a": (50.0, 1.0)}


def test_an_unknown_column_is_refused_with_the_nearest() -> None:
    assert column("peak-memory-bytes") is COLUMNS["peak_memory_bytes"]
    with pytest.raises(UnknownName, match="Did you mean 'trainable_parameters'"):
        column("trainable_parameter")
