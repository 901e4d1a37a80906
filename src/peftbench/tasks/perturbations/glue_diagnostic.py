"""The GLUE diagnostic set, sentence pairs by linguistic phenomenon (Wang et al., 2019,
arXiv:1804.07461).

row     {"premise": "Some of the shops closed.", "hypothesis": "All of the shops closed.",
         "label": 1}
asked   as `mnli`, and as `rte` (neutral and contradiction are both not entailed), which
        is SuperGLUE's AX-b

The hub's copy has no labels. The headline is the task's metric, accuracy, and not the
R_K that the leaderboard used, so that it can be set beside the clean score.
"""

from __future__ import annotations

from peftbench.tasks.perturbations._inference import as_mnli, three_way_as_rte
from peftbench.tasks.perturbations._perturbation import Perturbation, Reading

PERTURBATION = Perturbation(
    description="GLUE diagnostic: lexical, logical and world-knowledge inferences",
    paper="Wang et al., 2019, arXiv:1804.07461",
    license="not stated with the rows; the copy in nyu-mll/jiant is under MIT",
    upstream="gluebenchmark.com, diagnostic-full.tsv; label as 0 (entailment), 1 (neutral) "
    "or 2 (contradiction)",
    fields=("premise", "hypothesis", "label"),
    readings={"mnli": Reading(to_row=as_mnli), "rte": Reading(to_row=three_way_as_rte)},
    example_row={
        "premise": "Some of the shops closed.",
        "hypothesis": "All of the shops closed.",
        "label": 1,
    },
)
