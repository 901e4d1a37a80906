"""Perturbed test sets, one file each. `names()` lists them, `get(name)` imports one."""

from __future__ import annotations

from peftbench.catalogue import Catalogue
from peftbench.tasks.perturbations._perturbation import Perturbation, Reading

CATALOGUE: Catalogue[Perturbation] = Catalogue("perturbation", __name__, "PERTURBATION")
names = CATALOGUE.names
get = CATALOGUE.get

__all__ = ["CATALOGUE", "Perturbation", "Reading", "get", "names", "of_task"]


def of_task(task: str) -> tuple[str, ...]:
    """The sets on which adapters trained on `task` can be scored."""
    return tuple(name for name in names() if task in get(name).readings)
