"""AdvGLUE's part of MNLI's mismatched genres (Wang et al., 2021, arXiv:2111.02840).

row     {"task": "mnli-mm", "premise": "The shop clsoes early on Sundays.",
         "hypothesis": "The shop sells bread.", "label": 1}
asked   as `mnli`; the rest of AdvGLUE is `advglue`
"""

from __future__ import annotations

from peftbench.tasks.perturbations._advglue import advglue, part

PERTURBATION = advglue(
    "AdvGLUE: attacked rows of MNLI's mismatched genres",
    {"mnli": part("mnli-mm", "adv_mnli_mismatched")},
    {
        "task": "mnli-mm",
        "premise": "The shop clsoes early on Sundays.",
        "hypothesis": "The shop sells bread.",
        "label": 1,
    },
)
