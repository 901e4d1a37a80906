"""Counterfactually revised IMDb reviews: a few words changed, and the sentiment with them
(Kaushik et al., 2020, arXiv:1909.12434).

row     {"text": "A dull, careless film.<br /><br />I left early.", "label": 0,
         "version": "counterfactual"}
asked   as `sst2`, without the reviews' HTML line breaks

The revised reviews alone; the originals stand beside them in the file. Whole reviews are
longer than SST-2's phrases: a drop is of both.
"""

from __future__ import annotations

from peftbench.tasks._fields import text_of
from peftbench.tasks._task import Row
from peftbench.tasks.perturbations._perturbation import Perturbation, Reading


def to_row(row: Row) -> Row | None:
    """A revised review as SST-2 has it."""
    if row["version"] != "counterfactual":
        return None
    return {"sentence": text_of(row, "text").replace("<br />", " "), "label": row["label"]}


PERTURBATION = Perturbation(
    description="counterfactual IMDb: the smallest changes that turn a review's sentiment",
    paper="Kaushik et al., 2020, arXiv:1909.12434",
    license="Apache-2.0",
    upstream="github.com/acmi-lab/counterfactually-augmented-data @6f232a1d2a11, "
    "sentiment/new/test.tsv; Sentiment and Text as label (0, 1) and text",
    fields=("text", "label", "version"),
    readings={"sst2": Reading(to_row=to_row)},
    example_row={
        "text": "A dull, careless film.<br /><br />I left early.",
        "label": 0,
        "version": "counterfactual",
    },
)
