"""What is told of a task, its rows and a method beside what was asked. These are parts of
records, so that a report needs no catalogue to be right."""

from __future__ import annotations

from typing import Literal

from peftbench.spec.frozen import Count, Frozen

#: Whether a number is the better the higher or the lower it is.
Better = Literal["higher", "lower"]


class TaskFacts(Frozen):
    """What a record tells of its task, whether it was scored or not."""

    description: str
    is_generated: bool = False
    metric: str = ""
    """The headline's name; empty where nobody tells."""
    unit: str = ""
    better: Better = "higher"


class MethodFacts(Frozen):
    """What a record tells of its method; empty where nobody tells."""

    family: str = ""
    paper: str = ""


class Leak(Frozen):
    """How many distinct texts stand in two splits of a task."""

    what: Literal["prompts", "normalised prompts", "groups"]
    """Prompts word for word; the same but for case, punctuation and white space, those that
    agree word for word included; or groups (passages, premises), normalised too."""
    splits: tuple[str, str]
    count: Count


class LeftOut(Frozen):
    """How many rows of a split (or of a further test) could not be used, and why."""

    split: str
    reason: str
    """As it goes on from "rows", such as "without a solution"."""
    count: Count
