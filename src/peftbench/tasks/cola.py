"""CoLA, linguistic acceptability (Warstadt, Singh and Bowman, 2019, arXiv:1805.12471).

row         {"sentence": "The boy that left are my cousin.", "label": 0, "idx": 0}
prompt      "Sentence: The boy that left are my cousin.\\n
             Question: Is this sentence acceptable English? Answer yes or no.\\nAnswer:"
completion  "no"
target      "no"

The GLUE version (Wang et al., 2019, arXiv:1804.07461). Its test labels are hidden, so its
validation split is our test. Seven rows in ten are acceptable: the headline is Matthews
correlation, as in GLUE, by which a constant answer is worth 0.
"""

from __future__ import annotations

from peftbench.tasks._answers import label_reader
from peftbench.tasks._fields import label_of, text_of
from peftbench.tasks._task import Example, Row, Task

LABELS = ("no", "yes")


def to_example(row: Row) -> Example:
    """A sentence; the answer is whether it is acceptable."""
    sentence = text_of(row, "sentence")
    answer = label_of(row, "label", {0: "no", 1: "yes"})
    return Example(
        prompt=(
            f"Sentence: {sentence}\n"
            "Question: Is this sentence acceptable English? Answer yes or no.\n"
            "Answer:"
        ),
        completion=answer,
        target=answer,
        group=sentence,
    )


TASK = Task(
    description="CoLA: whether a sentence is acceptable English",
    hub_id="nyu-mll/glue",
    subset="cola",
    revision="bcdcba79d07bc864c1c254ccfcedcce55bcc9a8c",
    splits={"train": "train", "test": "validation"},
    sizes={"train": 8_551, "validation": 1_043},
    license="other (CoLA's own terms; the hub's GLUE card)",
    fields=("sentence", "label"),
    to_example=to_example,
    grouped_by="sentence",
    read_answer=label_reader(LABELS),
    metrics=("matthews", "accuracy", "f1"),
    labels=LABELS,
    max_new_tokens=8,
    example_row={"sentence": "The boy that left are my cousin.", "label": 0},
)
