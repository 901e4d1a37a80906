"""Breaking NLI: one word replaced by one that lexical knowledge relates to it (Glockner et
al., 2018, arXiv:1805.02266).

row     {"premise": "A man plays a guitar.", "hypothesis": "A man plays a violin.",
         "label": 2}
asked   as `mnli`

Nearly nine in ten rows are contradictions, as in the source, so that always answering
"no" scores 0.88: look at the retention, which counts from there.
"""

from __future__ import annotations

from peftbench.tasks.perturbations._inference import as_mnli
from peftbench.tasks.perturbations._perturbation import Perturbation, Reading

PERTURBATION = Perturbation(
    description="Breaking NLI: inferences that hang on one word",
    paper="Glockner et al., 2018, arXiv:1805.02266",
    license="not stated",
    upstream="github.com/BIU-NLP/Breaking_NLI @8a7658c1ce6b, breaking_nli_dataset.zip; "
    "sentence1, sentence2 and gold_label as premise, hypothesis and 0, 1, 2 as in MNLI",
    fields=("premise", "hypothesis", "label"),
    readings={"mnli": Reading(to_row=as_mnli)},
    example_row={
        "premise": "A man plays a guitar.",
        "hypothesis": "A man plays a violin.",
        "label": 2,
    },
)
