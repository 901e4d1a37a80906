"""Which way means over tasks count, and when there are none: a mean of accuracies and error
rates is not a number of anything."""

from __future__ import annotations

from collections.abc import Sequence

from peftbench.scoring.summary import TaskInfo
from peftbench.spec.facts import Better


def mean_better(tasks: Sequence[TaskInfo]) -> Better:
    """Whether a higher or a lower mean score is better, where there is one at all."""
    return "lower" if tasks and all(task.better == "lower" for task in tasks) else "higher"


def no_mean(tasks: Sequence[TaskInfo]) -> str:
    """Why there is no mean score over these tasks; empty where there can be one."""
    lower = [task.name for task in tasks if task.better == "lower"]
    if len(lower) in (0, len(tasks)):
        return ""
    return (
        f"lower is better on {', '.join(lower)}, and higher on "
        f"{', '.join(task.name for task in tasks if task.better == 'higher')}"
    )


def no_pscp(tasks: Sequence[TaskInfo]) -> str:
    """Why there is neither PSCP nor PPT over these tasks; empty where there can be both."""
    if reason := no_mean(tasks):
        return reason
    if mean_better(tasks) == "lower":
        return "it discounts a score for its cost, and here a lower score is the better one"
    return ""
