"""HANS: hypotheses that share words with their premise and need not follow from it
(McCoy et al., 2019, arXiv:1902.01007).

row     {"premise": "The cook near the windows waved .",
         "hypothesis": "The windows waved .", "label": 1}
asked   as `mnli` (maybe and no are both "not entailed") and as `rte`

The authors' own rule: a three-way model's neutral and contradiction count as one label,
after its answer is read. The hub's copy needs a loading script, which is not run.
"""

from __future__ import annotations

from peftbench.tasks.perturbations._inference import TWO_WAY_MNLI, TWO_WAY_RTE
from peftbench.tasks.perturbations._perturbation import Perturbation

PERTURBATION = Perturbation(
    description="HANS: word overlap that misleads about entailment",
    paper="McCoy et al., 2019, arXiv:1902.01007",
    license="MIT",
    upstream="github.com/tommccoy1/hans @7299f6f657089ce06a0f98e7e81f8d0f5b7741ce, "
    "heuristics_evaluation_set.jsonl; gold_label as 0 (entailment) or 1",
    fields=("premise", "hypothesis", "label"),
    readings={"mnli": TWO_WAY_MNLI, "rte": TWO_WAY_RTE},
    example_row={
        "premise": "The cook near the windows waved .",
        "hypothesis": "The windows waved .",
        "label": 1,
    },
)
