"""Datasets as tasks, one file each. `names()` lists them, `get(name)` imports one."""

from __future__ import annotations

from peftbench.catalogue import Catalogue
from peftbench.tasks._task import SPLITS, Example, Row, Split, Task

CATALOGUE: Catalogue[Task] = Catalogue("task", __name__, "TASK")
names = CATALOGUE.names
get = CATALOGUE.get

__all__ = ["CATALOGUE", "SPLITS", "Example", "Row", "Split", "Task", "get", "names"]
