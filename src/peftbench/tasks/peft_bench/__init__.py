"""The protocol `peft-bench`: tasks asked and scored as PEFT-Bench does (arXiv:2511.21285).

A task of this protocol is derived from the strict one by a `Rule`: other words for the
labels, the published layout of the prompt, the published test split and metrics. Known
faults of the publication are part of it, so that numbers can be set beside the published
ones; docs/protocols.md lists them. Our instructions are our own words.
"""

from __future__ import annotations

from functools import cache

from peftbench.errors import InvalidSpec
from peftbench.tasks._task import Task
from peftbench.tasks.peft_bench._rule import Rule, derive

__all__ = ["Rule", "names", "rule", "under_peft_bench"]


def names() -> tuple[str, ...]:
    """The tasks that the protocol covers, sorted."""
    return tuple(sorted(_rules()))


def rule(name: str) -> Rule:
    """The rule of a task; raises `InvalidSpec` where there is none."""
    try:
        return _rules()[name]
    except KeyError:
        raise InvalidSpec(
            f"The protocol peft-bench does not cover the task {name!r}: it is not one of "
            f"PEFT-Bench's. It covers {', '.join(names())}. Use `protocol: strict`, or "
            "leave the task out."
        ) from None


def under_peft_bench(name: str, strict: Task) -> Task:
    """The task `name` as PEFT-Bench asks and scores it."""
    return derive(rule(name), strict)


@cache
def _rules() -> dict[str, Rule]:
    from peftbench.tasks.peft_bench import choices, code, free, labels

    return {**labels.RULES, **choices.RULES, **free.RULES, **code.RULES}
