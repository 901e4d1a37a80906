"""Answers to scores: one module for training, rescoring and imports."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

from peftbench import tasks
from peftbench.evaluation.metrics import Answers
from peftbench.evaluation.score import (
    baselines,
    baselines_again,
    compared,
    grade,
    likelihood_scores,
    merged,
    score_of,
    task_facts,
)
from peftbench.evaluation.scores import Baseline, Constant
from peftbench.tasks.perturbations import Reading

RTE, MNLI, APPS = tasks.get("rte"), tasks.get("mnli"), tasks.get("apps")
ANSWERS = Answers(
    predicted=["yes", "no", None, "no"], targets=["yes", "no", "yes", "yes"],
    labels=("yes", "no"),
)  # fmt: skip


def program(*verdicts: str, samples: tuple[tuple[str, ...], ...] = ()) -> Answers:
    return Answers(
        predicted=["print()"] * 2,
        targets=["print()"] * 2,
        references=[("print()",)] * 2,
        verdicts=verdicts,
        sampled_verdicts=samples,
    )


def test_every_score_says_what_it_is_of_and_how_it_counts() -> None:
    found = {score.metric: score for score in grade(RTE, ANSWERS).scores}
    assert list(found) == [*RTE.metrics, "format_error_rate"]
    accuracy, errors = found["accuracy"], found["format_error_rate"]
    assert (accuracy.test_set, accuracy.value, accuracy.examples) == ("test", 0.5, 4)
    assert (accuracy.unit, accuracy.better) == ("fraction correct", "higher")
    assert (accuracy.lowest, accuracy.highest) == (0, 1)
    assert (errors.value, errors.better) == (0.25, "lower")
    assert (
        score_of(
            "pearson", replace(ANSWERS, predicted=["1"] * 4, targets=["1", "2", "3", "4"])
        ).lowest
        == -1
    )


def test_scores_of_another_test_set_bear_its_name() -> None:
    found = grade(RTE, ANSWERS, test_set="mismatched")
    likely = likelihood_scores(ANSWERS, ["yes"] * 4, "mismatched")
    assert {score.test_set for score in (*found.scores, *likely)} == {"mismatched"}


def test_what_cannot_be_told_is_unavailable_with_its_reason_and_not_zero() -> None:
    found = grade(APPS, program(), samples=5, reason="no sandbox")
    assert [(one.metric, one.is_headline, one.reason) for one in found.unavailable] == [
        ("pass_at_1", True, "no sandbox"), ("pass_at_5", False, "no sandbox")
    ]  # fmt: skip
    assert list(found.rows) == [None, None]
    assert found.scores[0].metric != "pass_at_1"
    assert grade(APPS, program()).unavailable[0].reason == "pass_at_1 needs verdicts."


def test_samples_that_nobody_drew_are_not_missing() -> None:
    found = grade(APPS, program("passed", "error", samples=((), ())))
    assert found.unavailable == ()
    assert (found.scores[0].metric, found.scores[0].value) == ("pass_at_1", 0.5)
    assert "pass_at_5" not in {score.metric for score in found.scores}


def test_a_headline_over_samples_that_are_not_there_is_unavailable() -> None:
    sampled = replace(APPS, metrics=("pass_at_5", "pass_at_1"))
    found = grade(sampled, program("passed", "error", samples=((), ())))
    assert [(one.metric, one.is_headline, one.reason) for one in found.unavailable] == [
        ("pass_at_5", True, "pass_at_5 needs 5 samples.")
    ]
    assert found.scores[0].metric == "pass_at_1"


def test_likelihoods_are_scored_of_labels_alone() -> None:
    [found] = likelihood_scores(ANSWERS, ["yes", "no", "yes", "no"])
    assert (found.metric, found.value) == ("likelihood_accuracy", 0.75)
    assert likelihood_scores(ANSWERS, [None] * 4) == ()
    assert likelihood_scores(replace(ANSWERS, labels=()), ["yes"] * 4) == ()


def test_baselines_are_chosen_on_training_targets_and_scored_on_the_test() -> None:
    found = baselines(RTE, ANSWERS, ["no", "no", "yes"])
    assert found == (Baseline(name="majority class", answer="no", value=0.25),)
    other = replace(ANSWERS, targets=["no"] * 4)
    assert baselines_again(RTE, other, found)[0].value == 1
    assert baselines(APPS, program("passed", "error"), ["x"]) == ()


def test_a_perturbed_score_stands_beside_the_clean_one_in_its_labels() -> None:
    reading = Reading(to_row=lambda row: row, merge={"maybe": "no"})
    raw = Answers(
        predicted=["maybe", "yes", "no"], targets=["no", "yes", "maybe"], labels=MNLI.labels
    )
    clean = merged(raw, reading, MNLI)
    assert (clean.predicted, clean.targets) == (["no", "yes", "no"], ["no", "yes", "no"])
    assert "maybe" not in clean.labels
    perturbed = replace(clean, predicted=["no"] * 3)
    scores = [score_of("accuracy", perturbed, test_set="hans")]
    found = compared(MNLI, scores, perturbed, clean)
    assert (found.scores[0].test_set, found.clean.test_set) == ("hans", "test")
    assert (found.scores[0].value, found.clean.value) == (pytest.approx(2 / 3), 1)
    assert found.constant == found.clean_constant == Constant(answer="no", value=2 / 3)


def test_what_a_record_tells_of_a_task() -> None:
    found = task_facts(RTE)
    assert (found.metric, found.unit, found.better) == (
        "accuracy", "fraction correct", "higher"
    )  # fmt: skip
    assert found.description == RTE.description
    assert task_facts(tasks.get("generated_sums")).is_generated


def test_scoring_answers_imports_no_torch() -> None:
    code = "import peftbench.evaluation.score, sys; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "False", done.stderr
