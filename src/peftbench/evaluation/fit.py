"""Whether a task's metrics can score its answers, told before anything runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations

from peftbench.errors import InvalidSpec
from peftbench.evaluation import metrics
from peftbench.evaluation.metrics import Answers, Metric
from peftbench.evaluation.score import answers_to, baselines
from peftbench.tasks import Example, Task

#: What a model may write to anything.
_WORDS = "some words"


def check_metrics(name: str, task: Task) -> None:
    """Raise `InvalidSpec` for a metric that does not fit the task."""
    for trouble in metric_troubles(task):
        fitting = [
            other
            for other in metrics.names()
            if not other.startswith("peft_bench")
            and not metric_troubles(replace(task, metrics=(other,)))
        ]
        raise InvalidSpec(f"{name}: {trouble} Metrics that fit it: {', '.join(fitting)}.")


def metric_troubles(task: Task, examples: Sequence[Example] = ()) -> list[str]:
    """Why metrics of a task cannot score it, a sentence each: right answers to these
    `examples`, or to the task's own example, get less than all, or cannot be scored."""
    found = examples or _samples(task)
    if not found:
        return []
    asked = dict.fromkeys([*task.metrics, task.validation_metric or task.headline])
    told = ((name, _trouble(name, task, found)) for name in asked)
    return [f"the metric {name} {trouble}" for name, trouble in told if trouble]


def _samples(task: Task) -> list[Example]:
    """An example, or with labels one for each of them."""
    if not task.example_row:
        return []
    example = task.to_example(task.example_row)
    if not task.labels:
        return [example]
    return [replace(example, target=label, completion=label) for label in task.labels]


def _trouble(name: str, task: Task, examples: Sequence[Example]) -> str | None:
    kind = metrics.get(name)
    if kind.runs_programs:
        if all("tests" in example.extra for example in examples):
            return None
        return "runs programs, and the rows have no tests for them."
    if "groups" in kind.needs and not any(example.group for example in examples):
        return "needs rows with groups; name their column as `group`."
    target = examples[0].target
    right = answers_to(task, examples, [example.target for example in examples])
    written = [task.read(_WORDS, example.extra) for example in examples]
    try:
        kind.score(right)
        kind.score(replace(right, predicted=written))
        if name == task.headline:
            baselines(task, right, right.targets, right.groups)
        return _by_row(kind, right)
    except Exception as error:
        return f"cannot score answers such as {target!r} ({type(error).__name__}: {error})."


def _by_row(kind: Metric, right: Answers) -> str | None:
    """Whether a row with the right answer gets all, and one with another label less."""
    if kind.per_row is None or kind.highest is None or kind.better == "lower":
        return None
    for target, value in zip(right.targets, kind.per_row(right), strict=True):
        if value is not None and value < kind.highest:
            return f"gives the right answer {target!r} {value:g}, not {kind.highest:g}."
    pairs = list(permutations(right.labels, 2))
    if not pairs:
        return None
    others = Answers(predicted=[a for a, _ in pairs], targets=[b for _, b in pairs])
    for (wrong, label), value in zip(pairs, kind.per_row(others), strict=True):
        if value == kind.highest:
            return f"takes {wrong!r} for {label!r}."
    return None
