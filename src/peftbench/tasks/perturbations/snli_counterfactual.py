"""Counterfactually revised SNLI: a few words changed, and the label with them (Kaushik et
al., 2020, arXiv:1909.12434).

row     {"premise": "A girl reads a book on a bench.",
         "hypothesis": "A girl reads on the grass.", "label": 2}
asked   as `mnli`

Both kinds of revision, of the premise and of the hypothesis. SNLI's captions of pictures
are another genre than MNLI's: a drop is of both.
"""

from __future__ import annotations

from peftbench.tasks.perturbations._inference import as_mnli
from peftbench.tasks.perturbations._perturbation import Perturbation, Reading

PERTURBATION = Perturbation(
    description="counterfactual SNLI: the smallest changes that change the label",
    paper="Kaushik et al., 2020, arXiv:1909.12434",
    license="Apache-2.0",
    upstream="github.com/acmi-lab/counterfactually-augmented-data @6f232a1d2a11, "
    "NLI/revised_{premise,hypothesis}/test.tsv; labels as 0, 1, 2 as in MNLI",
    fields=("premise", "hypothesis", "label"),
    readings={"mnli": Reading(to_row=as_mnli)},
    example_row={
        "premise": "A girl reads a book on a bench.",
        "hypothesis": "A girl reads on the grass.",
        "label": 2,
    },
)
