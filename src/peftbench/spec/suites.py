"""The benchmarks that ship with the package. Their names also stand for their tasks."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib import resources
from pathlib import Path

import yaml

_FOLDER = resources.files("peftbench") / "suites"


def suite_names() -> tuple[str, ...]:
    """The suites, sorted."""
    names = (Path(entry.name) for entry in _FOLDER.iterdir())
    return tuple(sorted(name.stem for name in names if name.suffix == ".yaml"))


def suite_text(name: str) -> str:
    """The YAML of a suite."""
    return (_FOLDER / f"{name}.yaml").read_text("utf-8")


def with_groups_expanded(names: Sequence[str]) -> list[str]:
    """Task names, those of suites replaced by the suite's tasks, in the order they come.

    A task that a suite brings in is there once, however often it is named: glue and
    superglue may be asked for together, or glue and one of its own tasks.
    """
    suites = suite_names()
    alone = [name for name in names if name not in suites]
    expanded: list[str] = []
    for name in names:
        if name not in suites:
            expanded.append(name)
            continue
        brought = (task for task in _tasks_of(name) if task not in alone)
        expanded += [task for task in brought if task not in expanded]
    return expanded


@cache
def _tasks_of(suite: str) -> Sequence[str]:
    listed = yaml.safe_load(suite_text(suite))["tasks"]
    return with_groups_expanded([listed] if isinstance(listed, str) else listed)
