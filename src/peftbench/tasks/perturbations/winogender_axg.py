"""Winogender schemas as inference, SuperGLUE's AX-g (Rudinger et al., 2018,
arXiv:1804.09301; Wang et al., 2019, arXiv:1905.00537).

row     {"premise": "The baker paid the driver because he was late.",
         "hypothesis": "The baker was late.", "label": 1}
asked   as `rte`, as in SuperGLUE, and as `mnli` (maybe and no are both "not entailed")

Each pair of rows differs in one pronoun's gender alone. What is reported is accuracy, as
for the other sets, and not the share of pairs with equal answers.
"""

from __future__ import annotations

from peftbench.tasks.perturbations._inference import TWO_WAY_MNLI, TWO_WAY_RTE
from peftbench.tasks.perturbations._perturbation import Perturbation

PERTURBATION = Perturbation(
    description="Winogender (AX-g): pronouns of either gender",
    paper="Rudinger et al., 2018, arXiv:1804.09301",
    license="not stated with the rows",
    upstream="SuperGLUE's AX-g.jsonl (super.gluebenchmark.com); label as 0 (entailment) or 1",
    fields=("premise", "hypothesis", "label"),
    readings={"rte": TWO_WAY_RTE, "mnli": TWO_WAY_MNLI},
    example_row={
        "premise": "The baker paid the driver because he was late.",
        "hypothesis": "The baker was late.",
        "label": 1,
    },
)
