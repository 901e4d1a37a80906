"""Datasets as tasks, one file each. `names()` lists them, `get(name)` imports one."""

from __future__ import annotations

from peftbench.catalogue import Catalogue
from peftbench.errors import InvalidSpec
from peftbench.spec.benchmark import Protocol
from peftbench.tasks._task import SPLITS, Example, Row, Split, Task

CATALOGUE: Catalogue[Task] = Catalogue("task", __name__, "TASK")
names = CATALOGUE.names


def get(name: str, protocol: Protocol = "strict") -> Task:
    """The task as a protocol asks and scores it.

    Raises `UnknownName` for no such task, and `InvalidSpec` for one that the protocol
    does not cover.
    """
    task = CATALOGUE.get(name)
    if protocol == "strict":
        return task
    if protocol != "peft-bench":
        raise InvalidSpec(
            f"No task is run by the protocol {protocol}: it is of imports alone."
        )
    from peftbench.tasks.peft_bench import under_peft_bench

    return under_peft_bench(CATALOGUE.canonical(name), task)


__all__ = ["CATALOGUE", "SPLITS", "Example", "Row", "Split", "Task", "get", "names"]
