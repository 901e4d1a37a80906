"""What each row adds to a score, and how sure the score is."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from statistics import mean, stdev

import pytest

from peftbench.evaluation import metrics
from peftbench.evaluation.metrics import Answers
from peftbench.evaluation.metrics._jackknife import pseudo_values, standard_error


def answers_for(name: str, n: int, seed: int = 0) -> Answers:
    chance = random.Random(seed)
    if name.endswith(("pearson", "spearman", "numeric_match", "gsm8k")):
        gold = [chance.randint(0, 50) / 10 for _ in range(n)]
        read = [
            None if chance.random() < 0.1 else f"{g + chance.gauss(0, 1):.1f}" for g in gold
        ]
        return Answers(predicted=read, targets=[f"{g:.1f}" for g in gold])
    targets = [chance.choice(("no", "yes")) for _ in range(n)]
    given = [chance.choice((t, t, t, "no", "yes", None)) for t in targets]
    return Answers(
        predicted=given,
        targets=targets,
        labels=("no", "yes"),
        groups=[f"passage {i}" for i in range(n)],
        references=[(target,) for target in targets],
        extras=[{"question": i} for i in range(n)],
        verdicts=[
            "passed" if g == t else "error" for g, t in zip(given, targets, strict=True)
        ],
        sampled_verdicts=[
            tuple(chance.choices(("passed", "wrong answer"), k=10)) for _ in range(n)
        ],
    )


MEANS = [name for name in metrics.names() if metrics.get(name).per_row]
OTHERS = [name for name in metrics.names() if not metrics.get(name).per_row]


def test_both_kinds_of_metrics_are_there() -> None:
    assert "accuracy" in MEANS
    assert {"f1", "macro_f1", "matthews", "pearson", "spearman"} <= set(OTHERS)


@pytest.mark.parametrize("name", MEANS)
def test_pseudo_values_of_a_mean_are_the_rows_and_average_to_the_score(name: str) -> None:
    answers = answers_for(name, 40)
    values = pseudo_values(metrics.get(name), answers)
    assert all(value is not None and 0 <= value <= 1 for value in values)
    assert mean(values) == pytest.approx(metrics.get(name).score(answers))


@pytest.mark.parametrize("name", metrics.names())
def test_pseudo_values_average_to_the_score_up_to_one_part_in_n(name: str) -> None:
    for n in (50, 400):
        answers = answers_for(name, n)
        values = pseudo_values(metrics.get(name), answers)
        assert len(values) == n
        assert abs(mean(values) - metrics.get(name).score(answers)) <= 2 / n


@pytest.mark.parametrize("name", OTHERS)
def test_pseudo_values_are_those_of_leaving_every_row_out(name: str) -> None:
    """Equal rows are left out only once; here each is."""
    metric, answers = metrics.get(name), answers_for(name, 30)
    n, whole = 30, metric.score(answers)
    slow = []
    for i in range(n):
        rest = answers.take([j for j in range(n) if j != i])
        slow.append(n * whole - (n - 1) * metric.score(rest))
    assert pseudo_values(metric, answers) == pytest.approx(slow)


@pytest.mark.parametrize("name", metrics.names())
def test_a_single_row_has_its_score_as_pseudo_value(name: str) -> None:
    answers = answers_for(name, 1)
    assert pseudo_values(metrics.get(name), answers) == [metrics.get(name).score(answers)]


def test_standard_error_of_accuracy_is_that_of_a_proportion() -> None:
    values = [1.0] * 30 + [0.0] * 10
    assert standard_error(values) == pytest.approx(math.sqrt(0.75 * 0.25 / 39))
    assert standard_error(values) == pytest.approx(stdev(values) / math.sqrt(40))


def test_standard_error_of_a_correlation_is_near_its_closed_form() -> None:
    """For a bivariate normal, (1 - r^2) / sqrt(n) in large samples."""
    chance = random.Random(3)
    pairs = [(g := chance.gauss(0, 1), g + chance.gauss(0, 0.75)) for _ in range(600)]
    answers = Answers(
        predicted=[f"{p:.3f}" for _, p in pairs], targets=[f"{g:.3f}" for g, _ in pairs]
    )
    metric = metrics.get("pearson")
    r = metric.score(answers)
    found = standard_error(pseudo_values(metric, answers))
    assert found == pytest.approx((1 - r * r) / math.sqrt(600), rel=0.15)


@pytest.mark.parametrize("values", [[], [1.0]])
def test_fewer_than_two_rows_have_no_standard_error(values: list[float]) -> None:
    assert standard_error(values) is None


def test_equal_rows_have_no_error() -> None:
    assert standard_error([1.0] * 9) == 0.0


def grouped(n: int, groups: int) -> Answers:
    chance = random.Random(n)
    answers = answers_for("accuracy", n)
    return replace(
        answers, groups=[f"passage {chance.randrange(groups)}" for _ in range(n)]
    )


def test_a_metric_over_groups_leaves_out_whole_groups() -> None:
    """One value a group, at its first row; there are as many units as groups."""
    answers = grouped(60, 7)
    metric = replace(metrics.get("f1"), leave_out="group", needs=("groups",))
    values = pseudo_values(metric, answers)
    whole, names = metric.score(answers), list(dict.fromkeys(answers.groups))
    expected = []
    for name in names:
        rest = answers.take([i for i in range(60) if answers.groups[i] != name])
        expected.append(7 * whole - 6 * metric.score(rest))
    assert [value for value in values if value is not None] == pytest.approx(expected)
    firsts = [answers.groups.index(name) for name in names]
    assert [i for i, value in enumerate(values) if value is not None] == firsts
    assert standard_error(values) == pytest.approx(stdev(expected) / math.sqrt(7))


def test_rows_of_one_group_are_no_independent_evidence() -> None:
    """Every answer given ten times over: the same standard error, not a third of it."""
    answers = replace(answers_for("f1", 40), groups=[str(i) for i in range(40)])
    often = answers.take([i for i in range(40) for _ in range(10)])
    metric = replace(metrics.get("f1"), leave_out="group", needs=("groups",))
    once, again = (standard_error(pseudo_values(metric, a)) for a in (answers, often))
    assert again == pytest.approx(once)


def test_a_single_group_has_a_value_and_no_error() -> None:
    metric = replace(metrics.get("f1"), leave_out="group", needs=("groups",))
    answers = grouped(9, 1)
    values = pseudo_values(metric, answers)
    assert values == [metric.score(answers), *[None] * 8]
    assert standard_error(values) is None
