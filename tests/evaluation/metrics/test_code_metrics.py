"""Metrics of programs on answers of every kind, with the score worked out by hand."""

from __future__ import annotations

import random
from dataclasses import replace
from math import comb

import pytest

from peftbench.evaluation import metrics
from peftbench.evaluation.metrics import Answers, codebleu
from peftbench.evaluation.metrics._pass_at_k import pass_at
from peftbench.evaluation.metrics._python_code import analysed
from peftbench.tasks._programs import read_program

RIGHT = "x = f(1)"
LIKENESS = ("chrf", "codebleu")


def score(name: str, answer: str | None, *references: str) -> float:
    answers = Answers(
        predicted=[answer], targets=[references[0]], references=[references], labels=()
    )
    return metrics.get(name).score(answers)


@pytest.mark.parametrize("name", LIKENESS)
@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (RIGHT, 1.0),
        (f"\n  {RIGHT}  \n", 1.0),
        (f"```python\n{RIGHT}\n```", 1.0),
        (f"Sure:\n```\n{RIGHT}\n```\nThis calls `f`.", 1.0),
        (f"`{RIGHT}`", 1.0),
        ("x=f( 1 )", 1.0),
        ("", 0.0),
        ("   \n", 0.0),
        ("```python\n```", 0.0),
    ],
)
def test_an_answer_counts_for_its_program_alone(
    name: str, written: str, expected: float
) -> None:
    assert score(name, read_program(written), RIGHT) == pytest.approx(expected)


@pytest.mark.parametrize("name", LIKENESS)
def test_the_closest_reference_counts(name: str) -> None:
    assert score(name, RIGHT, "import os\nprint(os.name)", RIGHT) == pytest.approx(1.0)


@pytest.mark.parametrize("name", LIKENESS)
def test_a_row_without_a_reference_is_not_in_the_mean(name: str) -> None:
    answers = Answers(
        predicted=[RIGHT, RIGHT, None], targets=[RIGHT, "", ""], references=[(), (), ()]
    )
    metric = metrics.get(name)
    assert metric.per_row is not None
    assert metric.per_row(answers) == [pytest.approx(1.0), None, None]
    assert metric.score(answers) == pytest.approx(1.0)


@pytest.mark.parametrize("name", LIKENESS)
def test_other_case_and_an_explanation_in_the_answer_cost_something(name: str) -> None:
    assert score(name, "X = F(1)", RIGHT) < 0.9
    assert score(name, f"This sets x to the value of f at one: {RIGHT}", RIGHT) < 0.9


def test_chrf_by_hand() -> None:
    # n-grams of 1 and 2 characters: precisions 1 and 1, recalls 2/3 and 1/2; beta is 2
    recall = (2 / 3 + 1 / 2) / 2
    assert score("chrf", "ab", "abc") == pytest.approx(5 * recall / (4 + recall))
    assert score("chrf", "y", "x") == 0.0


def test_codebleu_by_hand() -> None:
    # Of X = F ( 1 ) single words match 4 of 6, pairs 2 of 5, triples 1 of 4, and none of
    # the 3 quadruples, which smoothing counts as a half of one. No word is a keyword.
    words = (4 / 6 * 2 / 5 * 1 / 4 * 1 / 6) ** 0.25
    found = codebleu.parts("X = F(1)", RIGHT)
    assert found == {
        "words": pytest.approx(words),
        "keywords": pytest.approx(words),
        "syntax": 1.0,
        "data flow": 1.0,
    }
    assert codebleu.likeness("X = F(1)", RIGHT) == pytest.approx((2 * words + 2) / 4)


def test_a_keyword_weighs_five_times_a_name() -> None:
    found = codebleu.parts("return y", "return x")
    # One order of words: a half of two, smoothed pair 1/2; keyword 1 of 1.2.
    assert found["words"] == pytest.approx((1 / 2 * 1 / 2) ** 0.5)
    assert found["keywords"] == pytest.approx((1 / 1.2 * 1 / 2) ** 0.5)


def test_syntax_is_the_share_of_the_references_subtrees() -> None:
    # module, statement, call, its arguments; of those the answer has none but one pair.
    reference, answer = "f(1)", "y = f(1)"
    assert codebleu.parts(answer, reference)["syntax"] == pytest.approx(2 / 4)
    assert codebleu.parts(reference, reference)["syntax"] == 1.0


def test_data_flow_sees_through_names_and_not_through_a_missing_value() -> None:
    reference = "def add(a, b):\n    c = a + b\n    return c"
    renamed = "def plus(x, y):\n    z = x + y\n    return z"
    nothing = "def add(a, b):\n    pass"
    assert codebleu.parts(renamed, reference)["data flow"] == 1.0
    assert codebleu.parts(nothing, reference)["data flow"] == 0.0
    assert "data flow" not in codebleu.parts(renamed, "print(1)"), "nothing to compare"


def test_repeated_names_in_a_text_are_no_data_flow_of_a_program() -> None:
    reference = "def even(n):\n    return n % 2 == 0"
    text = "thread = {}\nthread\nthread\nReturn the thread is a string\nthread"
    assert codebleu.parts(reference, reference)["data flow"] == 1.0
    assert codebleu.parts(text, reference)["data flow"] == 0.0
    assert codebleu.likeness(text, reference) < 0.1


def test_an_empty_or_wrong_answer_has_no_floor() -> None:
    assert score("codebleu", "", "print(1)") == 0.0
    assert score("codebleu", None, "print(1)") == 0.0
    assert score("codebleu", "x", "for i in range(3):\n    print(i)") < 0.05


@pytest.mark.parametrize(
    "source", ["(" * 3000, "x" * 5000, "'" * 99, "\0", "print 'a', x", "def f(:", "é = 1"]
)
@pytest.mark.parametrize("name", LIKENESS)
def test_text_that_is_no_program_has_a_score(name: str, source: str) -> None:
    assert 0 <= score(name, source, "x = 1") <= 1
    assert 0 <= score(name, "x = 1", source) <= 1


def test_data_flow_follows_loops_targets_and_parameters() -> None:
    source = (
        "total = 0\nfor n in rows:\n    total += n\nwith f() as g:\n    h = [g for g in n]"
    )
    relations = {name for name, *_ in analysed(source).data_flow}
    assert len(relations) >= 3
    assert analysed("def f(a, *b, c=1, **d):\n    return a, b, c, d").data_flow.total() == 4
    assert analysed("print(x)\ny.z(k=1)").data_flow.total() == 0


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("x = [1]", 1.0),
        ("x = [", 0.0),
        ("print 1", 0.0),
        ("Sure, here it is: x = 1", 0.0),
        ("```\nx = 1\n```", 1.0),
        ("", 0.0),
        ("\0", 0.0),
        ("(" * 500, 0.0),
    ],
)
def test_parses_by_hand(written: str, expected: float) -> None:
    assert score("parses", read_program(written), "x = 1") == expected


def test_pass_at_1_counts_what_passed_and_nothing_else() -> None:
    verdicts = ["passed", "wrong answer", "error", "too slow", "passed", "no program"]
    answers = Answers(predicted=[""] * 6, targets=[""] * 6, verdicts=verdicts)
    assert metrics.get("pass_at_1").score(answers) == pytest.approx(2 / 6)


@pytest.mark.parametrize(
    ("k", "n", "c", "expected"),
    [
        (1, 5, 0, 0.0),
        (1, 5, 2, 0.4),
        (5, 5, 1, 1.0),
        (5, 5, 0, 0.0),
        (2, 4, 1, 1 / 2),  # of 6 pairs 3 hold it
        (2, 4, 2, 5 / 6),
        (5, 20, 3, 1 - comb(17, 5) / comb(20, 5)),
        (10, 200, 195, 1.0),  # only 5 are wrong
    ],
)
def test_pass_at_k_is_the_unbiased_estimate(
    k: int, n: int, c: int, expected: float
) -> None:
    assert pass_at(k, n, c) == pytest.approx(expected)


def test_pass_at_k_is_the_chance_of_drawing_a_right_one() -> None:
    """Worked out by drawing k of the n samples many times."""
    chance = random.Random(0)
    draws = [any(i < 3 for i in chance.sample(range(12), 4)) for _ in range(20_000)]
    assert pass_at(4, 12, 3) == pytest.approx(sum(draws) / len(draws), abs=0.01)


def test_pass_at_k_needs_k_samples() -> None:
    with pytest.raises(ValueError, match="needs 5 samples"):
        pass_at(5, 4, 1)
    assert (metrics.get("pass_at_5").samples, metrics.get("pass_at_10").samples) == (5, 10)


def test_pass_at_5_is_the_mean_over_problems() -> None:
    verdicts = [("passed",) * 1 + ("error",) * 9, ("error",) * 10, ("passed",) * 10]
    answers = Answers(predicted=[""] * 3, targets=[""] * 3, sampled_verdicts=verdicts)
    assert metrics.get("pass_at_5").score(answers) == pytest.approx((0.5 + 0 + 1) / 3)


NAMES = ("chrf", "codebleu", "parses", "pass_at_1", "pass_at_5", "pass_at_10")


def generic(n: int) -> Answers:
    chance = random.Random(n)
    programs = ["x = 1", "print(x)", "for i in y:\n    print(i)", "def f(a): return a"]
    return Answers(
        predicted=[chance.choice([*programs, None]) for _ in range(n)],
        targets=[chance.choice(programs) for _ in range(n)],
        verdicts=chance.choices(["passed", "error"], k=n),
        sampled_verdicts=[
            tuple(chance.choices(["passed", "error"], [1, 5], k=12)) for _ in range(n)
        ],
    )


@pytest.mark.parametrize("name", NAMES)
def test_one_malformed_output_moves_a_score_by_one_part_in_n(name: str) -> None:
    metric = metrics.get(name)
    for n in (20, 100):
        answers = generic(n)
        for malformed in (None, "zzz", "(" * 999, "9" * 400):
            changed = replace(
                answers,
                predicted=[malformed, *answers.predicted[1:]],
                verdicts=["no program", *answers.verdicts[1:]],
                sampled_verdicts=[("error",) * 12, *answers.sampled_verdicts[1:]],
            )
            assert abs(metric.score(changed) - metric.score(answers)) <= 1 / n + 1e-12


@pytest.mark.parametrize("name", NAMES)
def test_the_order_of_rows_is_of_no_account(name: str) -> None:
    answers, metric = generic(30), metrics.get(name)
    order = random.Random(1).sample(range(30), 30)
    assert metric.score(answers.take(order)) == pytest.approx(metric.score(answers))


@pytest.mark.parametrize("name", NAMES)
def test_a_metric_says_what_it_measures_and_gives_rows(name: str) -> None:
    metric, answers = metrics.get(name), generic(20)
    assert metric.unit
    assert metric.better == "higher"
    assert metric.runs_programs == name.startswith("pass_at")
    assert metric.per_row is not None
    rows = [value for value in metric.per_row(answers) if value is not None]
    assert sum(rows) / 20 == pytest.approx(metric.score(answers))
