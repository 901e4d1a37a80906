"""GSM-Plus (testmini): GSM8K's test questions in eight variations (Li et al., 2024,
arXiv:2402.19255).

row     {"question": "Ann has 30 pens and buys 1,200. How many has she?", "answer": "1230",
         "perturbation_type": "digit expansion"}
asked   as `gsm8k`

Rows of the kind "critical thinking" have the answer "None": the question cannot be
answered. A model that was trained to end in a number has no way to say so; these rows, and
those whose answer is a fraction ("1/8"), which GSM8K never has, are left out and counted.
Not asked as `svamp`, whose answers are a number without steps.
"""

from __future__ import annotations

from peftbench.tasks._answers import read_number
from peftbench.tasks._fields import text_of
from peftbench.tasks._task import Row
from peftbench.tasks.perturbations._perturbation import Perturbation, Reading


def to_row(row: Row) -> Row | None:
    """Question and final number, as GSM8K ends its solutions."""
    answer = text_of(row, "answer")
    if read_number(answer) is None:
        return None
    return {"question": row["question"], "answer": f"#### {answer}"}


PERTURBATION = Perturbation(
    description="GSM-Plus: GSM8K's questions with other numbers, words and distractions",
    paper="Li et al., 2024, arXiv:2402.19255",
    license="CC BY-SA 4.0",
    upstream="github.com/qtli/GSM-Plus @3474129ec12f, dataset/gsmplus_testmini.jsonl",
    hub_id="qintongli/GSM-Plus",
    revision="3b708db57b96a16e8e3368ed2956990c0809440e",
    fields=("question", "answer"),
    readings={"gsm8k": Reading(to_row=to_row, split="testmini")},
    example_row={
        "question": "Ann has 30 pens and buys 1,200. How many has she?",
        "answer": "1230",
        "perturbation_type": "digit expansion",
    },
)
