"""Answers to a test set, scored by all metrics of their task: pure, without model or torch.

Training, rescoring and imports all come through here, so that a number means the same
whoever computed it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from peftbench.evaluation import metrics
from peftbench.evaluation.metrics import Answers
from peftbench.evaluation.metrics._baselines import (
    best_constant,
    constant_answer,
    constant_score,
)
from peftbench.evaluation.metrics._jackknife import pseudo_values, standard_error
from peftbench.evaluation.scores import (
    TEST,
    Baseline,
    Constant,
    PerturbedScores,
    Score,
    Unavailable,
)
from peftbench.spec.facts import TaskFacts
from peftbench.tasks import Example, Task
from peftbench.tasks.perturbations import Reading

#: Scored of every task, whatever its metrics: how well its answers could be read.
FORMAT_ERRORS = "format_error_rate"
#: Accuracy of the labels that were likeliest, of tasks with labels.
LIKELIHOOD = "likelihood_accuracy"


@dataclass(frozen=True)
class TestScores:
    """One test set, scored."""

    scores: tuple[Score, ...]
    """The headline first, unless it is unavailable."""
    unavailable: tuple[Unavailable, ...]
    """Metrics of the task that these answers do not allow, the headline first."""
    rows: Sequence[float | None]
    """What every row adds to the headline (jackknife); None where that cannot be told."""


def task_facts(task: Task) -> TaskFacts:
    """What a record tells of a task."""
    headline = metrics.get(task.headline)
    return TaskFacts(
        description=task.description,
        is_generated=task.is_generated,
        metric=task.headline,
        unit=headline.unit,
        better=headline.better,
    )


def grade(
    task: Task,
    answers: Answers,
    *,
    test_set: str = TEST,
    samples: int | None = None,
    reason: str = "",
) -> TestScores:
    """All of the task's metrics, and how well answers were read.

    A further metric that takes more samples than the `samples` drawn for every prompt
    (None: those that have verdicts) was not asked for. One that needs columns which the
    answers lack is unavailable, for `reason`, or because of what it needs.
    """
    drawn = least_samples(answers) if samples is None else samples
    further = [name for name in task.metrics[1:] if metrics.get(name).samples <= drawn]
    asked = [task.headline, *further]
    lacking = {name: missing for name in asked if (missing := unmet(name, answers))}
    rows: Sequence[float | None] = (
        [None] * len(answers)
        if task.headline in lacking
        else pseudo_values(metrics.get(task.headline), answers)
    )
    return TestScores(
        scores=tuple(
            score_of(name, answers, rows if name == task.headline else None, test_set)
            for name in dict.fromkeys([*asked, FORMAT_ERRORS])
            if name not in lacking
        ),
        unavailable=tuple(
            Unavailable(
                test_set=test_set,
                metric=name,
                reason=reason or f"{name} needs {' and '.join(missing)}.",
                is_headline=name == task.headline,
            )
            for name, missing in lacking.items()
        ),
        rows=rows,
    )


def least_samples(answers: Answers) -> int:
    """How many programs beside the first were run for every prompt."""
    return min(map(len, answers.sampled_verdicts), default=0)


def unmet(metric: str, answers: Answers) -> tuple[str, ...]:
    """The columns that a metric needs and these answers do not have, and samples."""
    kind = metrics.get(metric)
    return (
        *(name for name in kind.needs if not getattr(answers, name)),
        *((f"{kind.samples} samples",) if least_samples(answers) < kind.samples else ()),
    )


def score_of(
    metric: str,
    answers: Answers,
    row_scores: Sequence[float | None] | None = None,
    test_set: str = TEST,
) -> Score:
    """One metric with its standard error; `row_scores` are its pseudo-values if known."""
    kind = metrics.get(metric)
    values = pseudo_values(kind, answers) if row_scores is None else row_scores
    return told(
        metric,
        kind.score(answers),
        standard_error=standard_error(values),
        examples=len(answers),
        test_set=test_set,
    )


def told(
    metric: str,
    value: float,
    *,
    standard_error: float | None = None,
    examples: int | None = None,
    test_set: str = TEST,
) -> Score:
    """A value of a metric of ours, computed here or told by others."""
    kind = metrics.get(metric)
    return Score(
        test_set=test_set,
        metric=metric,
        value=value,
        standard_error=standard_error,
        examples=examples,
        unit=kind.unit,
        better=kind.better,
        lowest=kind.lowest,
        highest=kind.highest,
    )


def likelihood_scores(
    answers: Answers, likely: Sequence[str | None], test_set: str = TEST
) -> tuple[Score, ...]:
    """Accuracy of the likeliest labels; none where answers are free, or nothing is told."""
    if not answers.labels or not any(likely):
        return ()
    score = score_of("accuracy", replace(answers, predicted=likely), test_set=test_set)
    return (score.model_copy(update={"metric": LIKELIHOOD}),)


def answers_to(
    task: Task, examples: Sequence[Example], predicted: Sequence[str | None]
) -> Answers:
    """Answers that were read from outputs on some examples."""
    return Answers(
        predicted=predicted,
        targets=[example.target for example in examples],
        labels=task.labels,
        groups=[example.group for example in examples],
        references=[example.references for example in examples],
        extras=[example.extra for example in examples],
    )


def baselines(
    task: Task,
    answers: Answers,
    train_targets: Sequence[str],
    train_groups: Sequence[str | None] = (),
) -> tuple[Baseline, ...]:
    """What answers that ignore the prompt score where `answers` were given. They are chosen
    on the training part: its majority class, or best constant, and the label that scores
    best there, if that is another one."""
    headline = metrics.get(task.headline)
    if headline.runs_programs:
        return ()  # one program for every problem solves none, and is slow to say so
    is_number = headline.chance_is_zero and not task.labels
    first = constant_answer(train_targets, is_number=is_number)
    if not task.labels:
        return _baselines_of(task, answers, {"constant": first})
    # F1 of the rarer label, for one, is zero where the majority class is always given.
    seen = Answers(
        predicted=train_targets,
        targets=train_targets,
        labels=task.labels,
        groups=train_groups,
    )
    best, value = best_constant(headline, seen)
    is_better = value != constant_score(headline, first, seen)
    return _baselines_of(
        task,
        answers,
        {"majority class": first, **({"best label": best} if is_better else {})},
    )


def baselines_again(
    task: Task, answers: Answers, known: Iterable[Baseline]
) -> tuple[Baseline, ...]:
    """Known constants, scored where `answers` were given."""
    return _baselines_of(task, answers, {one.name: one.answer for one in known})


def merged(answers: Answers, reading: Reading, task: Task) -> Answers:
    """The answers in the labels that a perturbed set tells apart."""
    return replace(
        answers,
        predicted=[reading.merged(answer) for answer in answers.predicted],
        targets=[reading.merge.get(target, target) for target in answers.targets],
        labels=reading.labels(task.labels),
    )


def compared(
    task: Task, scores: Sequence[Score], perturbed: Answers, clean: Answers
) -> PerturbedScores:
    """`scores` of the perturbed answers beside the headline of the clean ones."""
    return PerturbedScores(
        scores=tuple(scores),
        constant=_constant(task, perturbed),
        clean=score_of(task.headline, clean),
        clean_constant=_constant(task, clean),
    )


def _constant(task: Task, answers: Answers) -> Constant:
    answer, value = best_constant(metrics.get(task.headline), answers)
    return Constant(answer=answer, value=value)


def _baselines_of(
    task: Task, answers: Answers, constants: dict[str, str]
) -> tuple[Baseline, ...]:
    headline = metrics.get(task.headline)
    return tuple(
        Baseline.model_validate(
            {
                "name": name,
                "answer": answer,
                "value": constant_score(headline, answer, answers),
            }
        )
        for name, answer in constants.items()
    )
