"""Datasets as tasks, one file each. `names()` lists them, `get(name)` imports one."""

from __future__ import annotations

from pathlib import Path

from peftbench.catalogue import YAML_SUFFIXES, Catalogue, plug_in
from peftbench.errors import InvalidSpec
from peftbench.reading import path_of
from peftbench.spec.benchmark import Protocol
from peftbench.spec.frozen import digest
from peftbench.spec.read import is_task_file
from peftbench.spec.task_file import read_task_file
from peftbench.tasks._frames import is_of_frame
from peftbench.tasks._task import SPLITS, Example, Row, Split, Task


def _from_yaml(path: Path) -> Task:
    from peftbench.tasks._task_file import task_from_file

    return task_from_file(path)


CATALOGUE: Catalogue[Task] = Catalogue("task", __name__, "TASK", from_yaml=_from_yaml)
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


def use(name: str) -> str:
    """The name of a task; one given by the path of its YAML file can be looked up by its
    name, the file's, from here on, in worker processes too.

    Raises `InvalidSpec` for a path that leads nowhere.
    """
    if not is_task_file(name):
        return name
    path = path_of(name).resolve()
    if not path.is_file():
        raise InvalidSpec(f"No task file {name!r}: is the path right?")
    plug_in([path], instead_of=is_of_frame if is_of_frame(path) else None)
    return CATALOGUE.canonical(path.stem)


def source(name: str) -> str | None:
    """Where a task from outside is from, as `Catalogue.source`; None for one of ours.

    Of a task in YAML it is a digest of what its prompts, targets and chosen checkpoints
    depend on: another description, or one more metric, trains nothing again.
    """
    path = Path(str(getattr(CATALOGUE.module(name), "__file__", "")))
    if path.suffix not in YAML_SUFFIXES:
        return CATALOGUE.source(name)
    described = read_task_file(path)
    asked = described.model_dump(
        mode="json", exclude={"description", "license", "metric"}, exclude_none=True
    )
    if described.data.hub is None:  # files are told by their content, the task's data
        asked["data"] = {"test_fraction": described.data.test_fraction}
    return f"sha256:{digest([asked, CATALOGUE.get(name).headline])}"


__all__ = [
    "CATALOGUE",
    "SPLITS",
    "Example",
    "Row",
    "Split",
    "Task",
    "get",
    "names",
    "source",
    "use",
]
