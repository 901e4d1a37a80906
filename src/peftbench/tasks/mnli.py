"""MNLI, natural language inference over genres (Williams et al., 2018, arXiv:1704.05426).

row         {"premise": "The shop closes early on Sundays. ",
             "hypothesis": "The shop sells bread.", "label": 1}
prompt      "Premise: The shop closes early on Sundays.\\n
             Hypothesis: The shop sells bread.\\n
             Question: Given the premise, is the hypothesis true? Answer yes if it must be
             true, no if it must be false, or maybe if it can be either.\\nAnswer:"
completion  "maybe"
target      "maybe"

The GLUE version (Wang et al., 2019, arXiv:1804.07461). Its test labels are hidden, so the
matched validation split, of the genres trained on, is our test; the mismatched one, of other
genres, is scored beside it, from the same adapter, as the test set `mismatched`.
"entailment", "neutral" and "contradiction" become yes, maybe and no, words that need no
definition; `rte` asks the same question and calls an entailed hypothesis yes too.
"""

from __future__ import annotations

from peftbench.tasks._answers import label_reader
from peftbench.tasks._fields import label_of, text_of
from peftbench.tasks._task import Example, Row, Task

LABELS = ("yes", "maybe", "no")


def to_example(row: Row) -> Example:
    """Premise, hypothesis and question; the answer is how they relate."""
    premise = text_of(row, "premise")
    answer = label_of(row, "label", {0: "yes", 1: "maybe", 2: "no"})
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
    description="MNLI: whether a premise makes a hypothesis true, false or neither",
    hub_id="nyu-mll/glue",
    subset="mnli",
    revision="bcdcba79d07bc864c1c254ccfcedcce55bcc9a8c",
    splits={"train": "train", "test": "validation_matched"},
    further_tests={"mismatched": "validation_mismatched"},
    sizes={
        "train": 392_702,
        "validation_matched": 9_815,
        "validation_mismatched": 9_832,
    },
    license="other (terms per genre; the hub's GLUE card)",
    fields=("premise", "hypothesis", "label"),
    to_example=to_example,
    grouped_by="premise",
    read_answer=label_reader(LABELS),
    metrics=("accuracy", "macro_f1"),
    labels=LABELS,
    max_new_tokens=8,
    example_row={
        "premise": "The shop closes early on Sundays. ",
        "hypothesis": "The shop sells bread.",
        "label": 1,
    },
)
