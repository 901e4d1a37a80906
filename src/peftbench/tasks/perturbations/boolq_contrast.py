"""The BoolQ contrast set: questions changed by experts so that the answer turns (Gardner et
al., 2020, arXiv:2004.02709).

row     {"question": "do penguins live at the south pole", "label": 1, "perturbed": true,
         "passage": "Penguin -- Penguins live almost only south of the equator."}
asked   as `boolq`

The changed questions alone; their originals stand beside them in the file.
"""

from __future__ import annotations

from peftbench.tasks._task import Row
from peftbench.tasks.perturbations._perturbation import Perturbation, Reading


def to_row(row: Row) -> Row | None:
    """A changed question, with BoolQ's own fields."""
    if not row["perturbed"]:
        return None
    return {name: row[name] for name in ("question", "passage", "label")}


PERTURBATION = Perturbation(
    description="BoolQ contrast set: questions changed so that the answer turns",
    paper="Gardner et al., 2020, arXiv:2004.02709",
    license="not stated",
    upstream="github.com/allenai/contrast-sets @e2b87316ba7b, BoolQ/boolq_perturbed.json; "
    "one row a question, answer as label (0 no, 1 yes)",
    fields=("question", "passage", "label", "perturbed"),
    readings={"boolq": Reading(to_row=to_row)},
    example_row={
        "question": "do penguins live at the south pole",
        "passage": "Penguin -- Penguins live almost only south of the equator.",
        "label": 1,
        "perturbed": True,
    },
)
