"""Every metric on answers that are wrong in every way, with the score worked out by hand."""

from __future__ import annotations

import math
import random
import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from peftbench.evaluation import metrics
from peftbench.evaluation.metrics import Answers
from peftbench.tasks._answers import number_after, read_last_number, read_number

LABELS = ("no", "yes")
THREE = ("a", "b", "c")
OVER_LABELS = ("accuracy", "f1", "f1a", "macro_f1", "matthews", "format_error_rate")
OVER_NUMBERS = ("pearson", "spearman", "numeric_match")
OVER_TEXTS = ("token_f1", "exact_match")
OVER_QUESTIONS = ("question_exact_match",)
#: Those of the protocol peft-bench, which follow other rules, and those of programs have
#: tests of their own.
OF_PROGRAMS = {"chrf", "codebleu", "parses", "pass_at_1", "pass_at_5", "pass_at_10"}
STRICT = [
    name
    for name in metrics.names()
    if not name.startswith("peft_bench") and name not in OF_PROGRAMS
]


def score(
    name: str,
    predicted: Sequence[str | None],
    targets: Sequence[str],
    labels: tuple[str, ...] = (),
) -> float:
    # Of three rows, the first two belong to one question.
    questions = [{"question": i - (i % 3 == 1)} for i in range(len(targets))]
    answers = Answers(
        predicted=predicted,
        targets=targets,
        labels=labels,
        groups=["one passage"] * len(targets),
        extras=questions,
    )
    return metrics.get(name).score(answers)


def words(text: str) -> list[str | None]:
    """A row of answers; `-` stands for one that could not be read."""
    return [None if word == "-" else word for word in text.split()]


BY_HAND: list[tuple[str, str, str, tuple[str, ...], float]] = [
    ("accuracy", "yes no yes", "yes no yes", LABELS, 1.0),
    ("accuracy", "no yes no", "yes no yes", LABELS, 0.0),
    ("accuracy", "- - -", "yes no yes", LABELS, 0.0),
    ("accuracy", "yes - - -", "yes no yes no", LABELS, 0.25),
    ("accuracy", "YES yess no", "yes yes no", LABELS, 1 / 3),  # reading is not its job
    ("format_error_rate", "- yes x -", "yes no yes no", LABELS, 0.5),
    ("format_error_rate", "yes no", "no yes", LABELS, 0.0),
    ("f1", "yes no yes", "yes no yes", LABELS, 1.0),
    ("f1", "no no no", "yes no yes", LABELS, 0.0),
    ("f1", "no no no", "no no no", LABELS, 0.0),  # no positive, none found: as sklearn
    ("f1", "yes yes yes yes", "yes no no no", LABELS, 2 / 5),
    ("f1", "yes yes no no", "yes no yes no", LABELS, 0.5),
    ("f1", "yes - yes -", "yes yes no no", LABELS, 0.5),  # TP 1, FP 1, FN 1; - of no is none
    ("f1", "- - - -", "yes yes no no", LABELS, 0.0),
    ("f1a", "yes yes no no", "yes no yes no", LABELS, 0.5),
    ("f1a", "yes yes yes yes", "yes no no no", LABELS, 2 / 5),
    ("question_exact_match", "yes no yes", "yes no yes", LABELS, 1.0),
    ("question_exact_match", "yes yes yes", "yes no yes", LABELS, 0.5),
    ("question_exact_match", "- no yes", "yes no yes", LABELS, 0.5),
    ("question_exact_match", "yes no no no yes -", "yes no yes no no no", LABELS, 0.25),
    ("question_exact_match", "- - -", "yes no yes", LABELS, 0.0),
    ("exact_match", "falk Falk. the -", "Falk Falk the Falk", (), 0.75),
    ("exact_match", "Falks - -", "Falk Falk Falk", (), 0.0),
    ("token_f1", "Falk oslo -", "Falk Rome Rome", (), 1 / 3),
    ("token_f1", "Falk! - x", "Falk Rome Rome", (), 1 / 3),
    ("macro_f1", "a b c", "a b c", THREE, 1.0),
    ("macro_f1", "a a a", "a b c", THREE, 0.5 / 3),
    ("macro_f1", "- - -", "a b c", THREE, 0.0),
    ("macro_f1", "a b -", "a b c", THREE, 2 / 3),
    ("macro_f1", "a b", "a b", THREE, 2 / 3),  # c counts although it never occurs
    ("macro_f1", "- b b", "a b b", THREE, 1 / 3),  # the error is a's alone
    ("matthews", "yes no yes no", "yes no yes no", LABELS, 1.0),
    ("matthews", "no yes no yes", "yes no yes no", LABELS, -1.0),
    ("matthews", "yes yes yes yes", "yes no yes no", LABELS, 0.0),
    ("matthews", "yes no yes no", "yes yes yes yes", LABELS, 0.0),
    ("matthews", "- - - -", "yes no yes no", LABELS, 0.0),
    # TP 6, TN 3, FP 1, FN 2: (6*3 - 1*2) / sqrt(7*8*4*5)
    ("matthews", "yes " * 6 + "no " * 3 + "yes no no", "yes " * 6 + "no " * 4 + "yes " * 2,
     LABELS, 16 / math.sqrt(1120)),
    # n 4, hits 2; given yes 1, no 1, - 2; gold 2 and 2: (2*4 - (2 + 2)) / sqrt(10 * 8)
    ("matthews", "yes no - -", "yes no yes no", LABELS, 4 / math.sqrt(80)),
    ("pearson", "1 2 3", "2 4 6", (), 1.0),
    ("pearson", "3 2 1", "2 4 6", (), -1.0),
    ("pearson", "2 2 2", "1 2 3", (), 0.0),
    ("pearson", "1 2 3", "2 2 2", (), 0.0),
    ("pearson", "- - -", "1 2 3", (), 0.0),
    ("pearson", "2 - -", "1 2 3", (), 0.0),
    # the unreadable middle becomes the mean of 1 and 3
    ("pearson", "1 - 3", "1 2 3", (), 1.0),
    # the unreadable last becomes 1.5: x - mean = (-.5, .5, 0), y - mean = (-1, 0, 1)
    ("pearson", "1 2 -", "1 2 3", (), 0.5 / math.sqrt(0.5 * 2)),
    # 1000 is cut to 5 (the range 1 to 3, and its width 2 beyond): (1, 2, 5)
    ("pearson", "1 2 1000", "1 2 3", (), 4 / math.sqrt((26 / 3) * 2)),
    ("spearman", "1 10 11", "1 2 3", (), 1.0),
    ("spearman", "1 2 2", "1 2 3", (), 1.5 / math.sqrt(1.5 * 2)),
    ("spearman", "1 1e9 " + "9" * 400, "1 2 3", (), 1.0),  # ranks need no protection
    # the unreadable last gets rank 1.5: as for pearson
    ("spearman", "1 2 -", "1 2 3", (), 0.5 / math.sqrt(0.5 * 2)),
    ("spearman", "5 5 5", "1 2 3", (), 0.0),
    ("spearman", "- - -", "1 2 3", (), 0.0),
    ("spearman", "3 2 1", "1 2 3", (), -1.0),
    ("numeric_match", "7 7.0 07 8", "7 7 7 7", (), 0.75),
    ("numeric_match", "- x 1e3", "7 7 1000", (), 1 / 3),
    ("numeric_match", "-3 3", "3 -3", (), 0.0),
    ("numeric_match", "0.30000001 0.3001", "0.3 0.3", (), 0.5),
    ("numeric_match", "0 -0 0.0000001", "0 0 0", (), 2 / 3),
    ("numeric_match", "nan inf 1", "1 1 1", (), 1 / 3),
]  # fmt: skip


@pytest.mark.parametrize(("name", "predicted", "targets", "labels", "expected"), BY_HAND)
def test_score_by_hand(
    name: str, predicted: str, targets: str, labels: tuple[str, ...], expected: float
) -> None:
    found = score(name, words(predicted), targets.split(), labels)
    assert found == pytest.approx(expected, abs=1e-12)


def test_every_metric_was_worked_out_by_hand() -> None:
    assert {row[0] for row in BY_HAND} == set(STRICT)
    assert {*OVER_LABELS, *OVER_NUMBERS, *OVER_TEXTS, *OVER_QUESTIONS} == set(STRICT)


some_labels = st.lists(
    st.tuples(st.sampled_from(THREE), st.sampled_from(THREE)), min_size=1, max_size=40
)
two_labels = st.lists(
    st.tuples(st.sampled_from(LABELS), st.sampled_from(LABELS)), min_size=1, max_size=40
)
some_numbers = st.lists(
    st.tuples(st.integers(0, 50), st.integers(0, 50)).map(
        lambda pair: (pair[0] / 10, pair[1] / 10)
    ),
    min_size=3,
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(two_labels)
def test_f1_is_that_of_sklearn(pairs: list[tuple[str, str]]) -> None:
    from sklearn.metrics import f1_score

    predicted, targets = zip(*pairs, strict=True)
    expected = f1_score(targets, predicted, pos_label="yes", zero_division=0)
    assert score("f1", predicted, targets, LABELS) == pytest.approx(expected)


@settings(max_examples=60, deadline=None)
@given(some_labels)
def test_macro_f1_is_that_of_sklearn(pairs: list[tuple[str, str]]) -> None:
    from sklearn.metrics import f1_score

    predicted, targets = zip(*pairs, strict=True)
    expected = f1_score(
        targets, predicted, labels=list(THREE), average="macro", zero_division=0
    )
    assert score("macro_f1", predicted, targets, THREE) == pytest.approx(expected)


@settings(max_examples=60, deadline=None)
@given(some_labels, st.integers(0, 5))
def test_matthews_is_that_of_sklearn_also_with_unreadable_answers(
    pairs: list[tuple[str, str]], unreadable: int
) -> None:
    from sklearn.metrics import matthews_corrcoef

    predicted, targets = zip(*pairs, strict=True)
    given_up: list[str | None] = [None] * min(unreadable, len(pairs))
    ours = [*given_up, *predicted[len(given_up) :]]
    theirs = ["<none>" if answer is None else answer for answer in ours]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = matthews_corrcoef(targets, theirs)
    assert score("matthews", ours, targets, THREE) == pytest.approx(expected, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(some_numbers)
@pytest.mark.parametrize("name", ["pearson", "spearman"])
def test_correlations_are_those_of_scipy(
    name: str, pairs: list[tuple[float, float]]
) -> None:
    from scipy import stats

    predicted, gold = zip(*pairs, strict=True)
    low, high = min(gold), max(gold)
    inside = low - (high - low) <= min(predicted) and max(predicted) <= high + (high - low)
    assume(inside or name == "spearman")  # Pearson's r is protected from far-off numbers
    assume(len(set(predicted)) > 1 and len(set(gold)) > 1)
    expected = getattr(stats, f"{name}r")(predicted, gold).statistic
    found = score(name, list(map(str, predicted)), list(map(str, gold)))
    assert found == pytest.approx(expected, abs=1e-9)


def generic(name: str, n: int) -> Answers:
    """Answers of the usual kind: mostly right, of every label, spread over a range."""
    chance = random.Random(n)
    predicted: list[str | None] = []
    if name in OVER_NUMBERS:
        gold = [chance.uniform(0, 5) for _ in range(n)]
        for number in gold:
            right = chance.random() < 0.6
            predicted.append(f"{number if right else chance.uniform(0, 5):.2f}")
        return Answers(predicted=predicted, targets=[f"{number:.2f}" for number in gold])
    labels = LABELS if name in ("f1", "f1a") else THREE
    targets = [chance.choice(labels) for _ in range(n)]
    predicted += [t if chance.random() < 0.6 else chance.choice(labels) for t in targets]
    return Answers(
        predicted=predicted,
        targets=targets,
        labels=labels,
        groups=[f"passage {i // 6}" for i in range(n)],
        references=[(target, f"the other {target}") for target in targets],
        extras=[{"question": i // 3} for i in range(n)],
    )


MALFORMED = (None, "", "zzz", "9" * 400)


@pytest.mark.parametrize("name", STRICT)
def test_one_malformed_output_moves_a_score_by_one_part_in_n(name: str) -> None:
    metric = metrics.get(name)
    for n in (30, 300):
        answers = generic(name, n)
        before = metric.score(answers)
        for malformed in MALFORMED if name not in OVER_NUMBERS else (None, "9" * 400):
            for row in (0, n // 2, n - 1):
                predicted = list(answers.predicted)
                predicted[row] = malformed
                after = metric.score(replace(answers, predicted=predicted))
                assert abs(after - before) <= 12 / n


@pytest.mark.parametrize("name", STRICT)
def test_the_order_of_rows_is_of_no_account(name: str) -> None:
    answers = generic(name, 50)
    answers = replace(answers, predicted=[None, *answers.predicted[1:]])
    before = metrics.get(name).score(answers)
    order = random.Random(1).sample(range(50), 50)
    after = metrics.get(name).score(answers.take(order))
    assert after == pytest.approx(before, abs=1e-12)


@pytest.mark.parametrize("name", STRICT)
@pytest.mark.parametrize("n", [1, 2, 7])
def test_constant_and_unreadable_answers_have_a_score(name: str, n: int) -> None:
    number = name in OVER_NUMBERS
    targets = ["1", "2", "3", "4", "5", "6", "7"] if number else ["no", "yes"] * 4
    constants: tuple[Any, ...] = (None, "3") if number else (None, "yes", "no")
    for constant in constants:
        found = score(name, [constant] * n, targets[:n], () if number else LABELS)
        assert math.isfinite(found)
        low, high = metrics.get(name).lowest, metrics.get(name).highest
        assert low is not None
        assert high is not None
        assert low <= found <= high
        if metrics.get(name).chance_is_zero:
            assert found == 0


@pytest.mark.parametrize("name", ["f1", "macro_f1", "accuracy"])
def test_an_unreadable_answer_is_an_error_of_its_gold_class_alone(name: str) -> None:
    """To answer nothing is never better than a wrong answer, nor worse for other labels."""
    targets = ["no", "no", "yes", "yes", "yes"]
    right: list[str | None] = [*targets]
    nothing: list[str | None] = [None, *targets[1:]]
    wrong: list[str | None] = ["yes", *targets[1:]]
    scores = [score(name, p, targets, LABELS) for p in (right, nothing, wrong)]
    if name == "f1":  # of yes: a "no" that was not read leaves it as it is
        assert scores == pytest.approx([1.0, 1.0, 6 / 7])
    elif name == "macro_f1":
        assert scores == pytest.approx([1.0, (2 / 3 + 1) / 2, (2 / 3 + 6 / 7) / 2])
    else:
        assert scores == pytest.approx([1.0, 0.8, 0.8])


@pytest.mark.parametrize("name", STRICT)
def test_a_metric_says_what_it_measures_and_which_way_is_better(name: str) -> None:
    metric = metrics.get(name)
    assert metric.unit
    assert metric.better == ("lower" if name == "format_error_rate" else "higher")
    if metric.per_row:
        answers = generic(name, 20)
        rows = metric.per_row(answers)
        assert len(rows) == 20
        assert sum(rows) / 20 == pytest.approx(metric.score(answers))


def test_answers_without_rows_or_of_other_length_are_refused() -> None:
    with pytest.raises(ValueError, match="over no examples"):
        Answers(predicted=[], targets=[])
    with pytest.raises(ValueError, match="1 predicted for 2 targets"):
        Answers(predicted=["a"], targets=["a", "b"])


@pytest.mark.parametrize(
    ("written", "target", "matches"),
    [
        ("18", "18", True),
        ("$18.00", "18", True),
        ("1,234", "1234", True),
        ("1,234,567.50", "1234567.5", True),
        ("+7", "7", True),
        ("-7", "7", False),
        ("−7", "-7", True),
        ("50%", "50", True),
        ("0.5", "50", False),
        (".25", "0.25", True),
        ("7.", "7", True),
        ("12,34", "1234", False),
        ("18 dollars", "18", False),
        ("eighteen", "18", False),
        ("", "0", False),
        ("18 18", "18", False),
        ("1/2", "0.5", False),
    ],
)
def test_a_number_matches_however_it_is_written(
    written: str, target: str, matches: bool
) -> None:
    assert score("numeric_match", [read_number(written)], [target]) == float(matches)


@pytest.mark.parametrize(
    ("written", "target", "matches"),
    [
        ("3 + 4 = 7, so 1,007 pens.", "1007", True),
        ("It costs $18 dollars", "18", True),
        ("so the answer is -5 degrees", "-5", True),
        ("10-3", "3", False),  # a calculation, and 3 is not what it comes to
        ("a 25% discount", "25", True),
        ("7 pens. Then 8", "7", False),
        ("#### 7", "7", True),
        ("none", "0", False),
    ],
)
def test_the_last_number_of_a_free_answer_matches(
    written: str, target: str, matches: bool
) -> None:
    assert score("numeric_match", [read_last_number(written)], [target]) == float(matches)


def test_a_marked_number_is_read_with_its_unit_and_sign() -> None:
    read = number_after("####")
    found = [read(f"so\n#### {written}") for written in ("$18", "18 dollars", "-1,200.5%")]
    assert score("numeric_match", found, ["18", "18", "-1200.5"]) == 1.0
