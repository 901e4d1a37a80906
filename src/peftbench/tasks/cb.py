"""CB, the CommitmentBank: how far a writer is committed to a clause (de Marneffe, Simons
and Tonhauser, 2019, Sinn und Bedeutung 23; in SuperGLUE, Wang et al., 2019,
arXiv:1905.00537).

row         {"premise": "B: Is she at home? A: I doubt that she is.", "hypothesis": "she is
             at home", "idx": 0, "label": 1}
prompt      "Premise: B: Is she at home? A: I doubt that she is.\\n
             Hypothesis: she is at home\\n
             Question: Given the premise, is the hypothesis true? Answer yes if it must be
             true, no if it must be false, or maybe if it can be either.\\nAnswer:"
completion  "no"
target      "no"

The SuperGLUE version. Its test labels are hidden, so its validation split is our test. The
labels are those of `mnli` in another order: 0 is entailment (yes), 1 contradiction (no) and
2 neutral (maybe). Few rows are neutral, hence macro-F1 beside accuracy.
"""

from __future__ import annotations

from peftbench.tasks._answers import label_reader
from peftbench.tasks._fields import label_of, text_of
from peftbench.tasks._task import Example, Row, Task

LABELS = ("yes", "no", "maybe")


def to_example(row: Row) -> Example:
    """Premise, hypothesis and question; the answer is how they relate."""
    premise = text_of(row, "premise")
    answer = label_of(row, "label", {0: "yes", 1: "no", 2: "maybe"})
    return Example(
        prompt=(
            f"Premise: {premise}\n"
            f"Hypothesis: {text_of(row, 'hypothesis')}\n"
            "Question: Given the premise, is the hypothesis true? Answer yes if it must be "
            "true, no if it must be false, or maybe if it can be either.\n"
            "Answer:"
        ),
        completion=answer,
        target=answer,
        group=premise,
    )


TASK = Task(
    description="CB: whether a text commits its writer to a clause, to its opposite or neither",
    hub_id="aps/super_glue",
    subset="cb",
    revision="3de24cf8022e94f4ee4b9d55a6f539891524d646",
    splits={"train": "train", "test": "validation"},
    sizes={"train": 250, "validation": 56},
    license="other (the CommitmentBank's own terms; the hub's SuperGLUE card)",
    fields=("premise", "hypothesis", "label"),
    to_example=to_example,
    grouped_by="premise",
    read_answer=label_reader(LABELS),
    metrics=("accuracy", "macro_f1"),
    labels=LABELS,
    max_new_tokens=8,
    example_row={
        "premise": "B: Is she at home? A: I doubt that she is.",
        "hypothesis": "she is at home",
        "label": 1,
    },
)
