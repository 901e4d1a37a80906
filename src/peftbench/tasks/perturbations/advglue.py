"""AdvGLUE: rows of GLUE's development sets, attacked word by word and sentence by sentence
and checked by people (Wang et al., 2021, arXiv:2111.02840).

row     {"task": "sst2", "sentence": "a dreadfully funny and quietly cleever film . ",
         "label": 1}
asked   as the GLUE task of its part: `sst2`, `qqp`, `mnli`, `qnli` or `rte`

Small (32 to 148 rows a task), so its standard errors are wide. The mismatched part of MNLI
is `advglue_mismatched`.
"""

from __future__ import annotations

from peftbench.tasks.perturbations._advglue import advglue, part

PERTURBATION = advglue(
    "AdvGLUE: rows of GLUE under word- and sentence-level attacks",
    {name: part(name, f"adv_{name}") for name in ("sst2", "qqp", "mnli", "qnli", "rte")},
    {
        "task": "sst2",
        "sentence": "a dreadfully funny and quietly cleever film . ",
        "label": 1,
    },
)
