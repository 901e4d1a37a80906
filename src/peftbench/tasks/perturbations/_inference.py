"""Rows of inference sets as rows of `mnli` and `rte`.

Labels of the sets are 0 entailment, 1 neutral, 2 contradiction, or, where two are told
apart, 0 entailment, 1 not entailment. Values that are no label pass unchanged: the task
refuses them, and says which it allows.
"""

from __future__ import annotations

from peftbench.tasks._fields import label_of
from peftbench.tasks._task import Row
from peftbench.tasks.perturbations._perturbation import Reading

_CONTRADICTION = 2  # of mnli; after merging it stands for "not entailed"
_NOT_ENTAILED = 1  # of rte


def as_mnli(row: Row) -> Row:
    """A row with three labels: the same fields as MNLI's."""
    return {name: row[name] for name in ("premise", "hypothesis", "label")}


def two_way_as_mnli(row: Row) -> Row:
    """A row with two labels; "not entailment" is written as a contradiction."""
    said = label_of(row, "label", {0: "entailment", 1: "not entailment"})
    return {**as_mnli(row), "label": 0 if said == "entailment" else _CONTRADICTION}


def as_rte(row: Row) -> Row:
    """A row with two labels, under RTE's names."""
    return {
        "sentence1": row["premise"],
        "sentence2": row["hypothesis"],
        "label": row["label"],
    }


def three_way_as_rte(row: Row) -> Row:
    """A row with three labels; RTE calls neutral and contradiction not entailed alike."""
    label = _NOT_ENTAILED if row["label"] == _CONTRADICTION else row["label"]
    return {**as_rte(row), "label": label}


#: MNLI's three answers as two: what must be true, and all else (McCoy et al., 2019,
#: section 4.1: neutral and contradiction are non-entailment).
TWO_WAY_MNLI = Reading(to_row=two_way_as_mnli, merge={"maybe": "no"})
TWO_WAY_RTE = Reading(to_row=as_rte)
