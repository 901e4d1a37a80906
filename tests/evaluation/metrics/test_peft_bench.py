"""PEFT-Bench's metrics, on outputs that are wrong in every way, by hand and by scikit-learn."""

from __future__ import annotations

import random
import warnings
from collections.abc import Sequence

import pytest

from peftbench import tasks
from peftbench.evaluation import metrics
from peftbench.evaluation.metrics import Answers

TWO = ("no", "yes")
THREE = ("a", "b", "c")


def score(
    name: str,
    predicted: Sequence[str | None],
    targets: Sequence[str],
    labels: tuple[str, ...] = (),
) -> float:
    answers = Answers(predicted=predicted, targets=targets, labels=labels)
    return metrics.get(f"peft_bench_{name}").score(answers)


def words(text: str) -> list[str | None]:
    return [None if word == "-" else word for word in text.split()]


@pytest.mark.parametrize(
    ("name", "predicted", "targets", "labels", "expected"),
    [
        ("f1", "yes no", "yes no", TWO, 1.0),
        ("f1", "- -", "yes no", TWO, 0.0),  # both turned round
        ("f1", "yes -", "yes no", TWO, 2 / 3),  # - of no is a false alarm, unlike ours
        ("f1", "no no", "yes no", TWO, 0.0),
        ("macro_f1", "a b c", "a b c", THREE, 1.0),
        ("macro_f1", "a b", "a b", THREE, 1.0),  # c is absent and not counted, unlike ours
        ("macro_f1", "a b -", "a b c", THREE, (1 + 2 / 3 + 0) / 3),  # - of c becomes b
        ("macro_f1", "a b -", "a b b", THREE, (2 / 3 + 2 / 3) / 2),  # - of b becomes a
        ("em", "yes no -", "yes yes no", TWO, 1 / 3),
        ("em", "True", "true", (), 1.0),
    ],
)
def test_labels_by_hand(
    name: str, predicted: str, targets: str, labels: tuple[str, ...], expected: float
) -> None:
    found = score(name, words(predicted), targets.split(), labels)
    assert found == pytest.approx(expected)


@pytest.mark.parametrize("labels", [TWO, THREE, ("A", "B", "C", "D", "E")])
def test_f1_is_scikit_learns_after_the_published_replacement(
    labels: tuple[str, ...],
) -> None:
    from sklearn.metrics import f1_score

    draw = random.Random(len(labels))
    for _ in range(50):
        targets = draw.choices(labels, k=12)
        predicted = draw.choices([*labels, None], k=12)
        made = [
            (labels[0] if t == labels[1] else labels[1]) if p is None else p
            for p, t in zip(predicted, targets, strict=True)
        ]
        ids = {label: place for place, label in enumerate(labels)}
        pair = [ids[t] for t in targets], [ids[p] for p in made]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if len(labels) == 2:
                expected = f1_score(*pair)
                assert score("f1", predicted, targets, labels) == pytest.approx(expected)
            expected = f1_score(*pair, average="macro")
        assert score("macro_f1", predicted, targets, labels) == pytest.approx(expected)


def test_correlations_are_scipys_with_minus_one_for_what_is_unreadable() -> None:
    from scipy.stats import pearsonr, spearmanr

    gold = ["0.5", "1.0", "2.0", "4.5", "4.5"]
    predicted = ["1.0", None, "2.5", "4.0", "3.0"]
    numbers = [1.0, -1.0, 2.5, 4.0, 3.0]
    wanted = list(map(float, gold))
    assert score("pearson", predicted, gold) == pytest.approx(
        pearsonr(numbers, wanted).statistic
    )
    assert score("spearman", predicted, gold) == pytest.approx(
        spearmanr(numbers, wanted).statistic
    )


@pytest.mark.parametrize("name", ["pearson", "spearman"])
def test_a_constant_prediction_scores_zero_where_the_publication_has_no_number(
    name: str,
) -> None:
    assert score(name, ["3", "3", "3"], ["1", "2", "3"]) == 0
    assert score(name, [None, None], ["1", "2"]) == 0


def test_svamp_accuracy_does_not_look_at_the_gold_answer() -> None:
    """The published flaw, kept in this protocol and nowhere else."""
    task = tasks.get("svamp", "peft-bench")
    outputs = ["(1 + 1) = 2", "( 9 - 2 ) = 7", "(9 - 2) = 8", "seven", "(9-2) = 7."]
    predicted = [task.read_answer(output) for output in outputs]
    gold = ["( 9.0 - 2.0 ) = 7.0"] * 5
    assert score("svamp", predicted, gold) == pytest.approx(2 / 5)
    assert score("gold_equation", predicted, gold) == 0
    answers = Answers(predicted=predicted, targets=gold)
    assert metrics.get("format_error_rate").score(answers) == pytest.approx(2 / 5)


def test_a_gold_equation_is_told_by_its_blanks() -> None:
    """The published scorer means to remove them, and does not."""
    predicted = ["( 9.0 - 2.0 ) = 7", "(9.0 - 2.0) = 7.0", "( 9.0 - 2.0 ) = 7,0"]
    gold = ["( 9.0 - 2.0 ) = 7.0"] * 3
    assert score("gold_equation", predicted, gold) == pytest.approx(1 / 3)


def test_gsm8k_allows_a_millionth() -> None:
    predicted = ["18.0000001", "18.00001", "1.8e1", None]
    assert score("gsm8k", predicted, ["18"] * 4) == 0.5


def test_a_query_of_record_counts_once_for_each_of_its_answers() -> None:
    """Three rows of one query and one of another, as the published file has them."""
    once = Answers(
        predicted=["the Oslo", "Bergen town"],
        targets=["Oslo", "Bergen"],
        references=[("Oslo", "Norway", "Oslo city"), ("Bergen",)],
    )
    expanded = Answers(
        predicted=["the Oslo"] * 3 + ["Bergen town"],
        targets=["Oslo"] * 3 + ["Bergen"],
        references=[("Oslo",), ("Oslo",), ("Oslo",), ("Bergen",)],
    )
    for metric, expected in (("record_f1", (3 + 2 / 3) / 4), ("record_em", 3 / 4)):
        found = metrics.get(f"peft_bench_{metric}")
        assert found.score(once) == pytest.approx(expected)
        assert found.score(expanded) == pytest.approx(expected)


def test_codebleu_gives_a_quarter_for_nothing_and_ignores_capitals() -> None:
    """The published flaws; ours gives 0 for nothing."""
    assert score("codebleu", ["", None], ["x = 1", "y = 2"]) == 0.25
    assert score("codebleu", ["X = F(A)"], ["x = f(a)"]) == pytest.approx(1.0)
    fenced = score("codebleu", ["```python\nx = f(a)\n```"], ["x = f(a)"])
    assert 0.25 < fenced < 1


def test_every_solution_of_a_problem_is_compared() -> None:
    answers = Answers(
        predicted=["x = f(a)"],
        targets=["x = f(a)"],
        references=[("x = f(a)", "print(b)")],
    )
    metric = metrics.get("peft_bench_codebleu")
    one = score("codebleu", ["x = f(a)"], ["print(b)"])
    assert metric.score(answers) == pytest.approx((1 + one) / 2)


@pytest.mark.parametrize("name", [n for n in metrics.names() if n.startswith("peft_bench")])
def test_scores_do_not_depend_on_the_order_of_rows(name: str) -> None:
    metric = metrics.get(name)
    targets = ["1", "2", "3", "2"]
    predicted = ["1", None, "2", "3"]
    answers = Answers(
        predicted=predicted,
        targets=targets,
        labels=("1", "2", "3"),
        references=[(target, "4") for target in targets],
    )
    for order in ([3, 2, 1, 0], [1, 3, 0, 2]):
        assert metric.score(answers.take(order)) == pytest.approx(metric.score(answers))
