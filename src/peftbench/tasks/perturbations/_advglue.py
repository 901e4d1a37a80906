"""The parts of AdvGLUE, in one file of the authors and in six subsets of the hub."""

from __future__ import annotations

from peftbench.tasks._task import Row
from peftbench.tasks.perturbations._perturbation import Perturbation, Reading

PAPER = "Wang et al., 2021, arXiv:2111.02840"


def part(name: str, subset: str) -> Reading:
    """The rows of one part, whose fields are those of the GLUE task.

    The authors' file says in `task` which part a row is of; a subset of the hub holds one
    part and has no such field.
    """

    def to_row(row: Row) -> Row | None:
        return row if row.get("task", name) == name else None

    return Reading(to_row=to_row, subset=subset, split="validation")


def advglue(
    description: str, readings: dict[str, Reading], example_row: Row
) -> Perturbation:
    """A perturbation whose rows are parts of AdvGLUE."""
    return Perturbation(
        description=description,
        paper=PAPER,
        license="CC BY-SA 4.0",
        upstream="github.com/AI-secure/adversarial-glue @2e18301c3e6b, dev.json",
        hub_id="AI-Secure/adv_glue",
        revision="e1abda026f687e917a8d9895469194736ebe872c",
        fields=("label",),
        readings=readings,
        file="advglue",
        example_row=example_row,
    )
