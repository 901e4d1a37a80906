"""SST-2, the sentiment of film reviews (Socher et al., 2013, aclanthology.org/D13-1170).

row         {"sentence": "a warm , funny and quietly clever film . ", "label": 1}
prompt      "Review: a warm , funny and quietly clever film .\\n
             Question: Is this review negative or positive? Answer with one word.\\nAnswer:"
completion  "positive"
target      "positive"

The GLUE version (Wang et al., 2019, arXiv:1804.07461). Its test labels are hidden, so its
validation split is our test. Training rows are phrases cut from sentences: two of them may
overlap, and no field says which belong together.
"""

from __future__ import annotations

from peftbench.tasks._answers import label_reader
from peftbench.tasks._fields import label_of, text_of
from peftbench.tasks._task import Example, Row, Task

LABELS = ("negative", "positive")


def to_example(row: Row) -> Example:
    """The review and the question; the sentiment is the answer."""
    review = text_of(row, "sentence")
    answer = label_of(row, "label", {0: "negative", 1: "positive"})
    return Example(
        prompt=(
            f"Review: {review}\n"
            "Question: Is this review negative or positive? Answer with one word.\n"
            "Answer:"
        ),
        completion=answer,
        target=answer,
        group=review,
    )


TASK = Task(
    description="SST-2: whether a phrase from a film review is negative or positive",
    hub_id="nyu-mll/glue",
    subset="sst2",
    revision="bcdcba79d07bc864c1c254ccfcedcce55bcc9a8c",
    splits={"train": "train", "test": "validation"},
    sizes={"train": 67_349, "validation": 872},
    license="other (SST-2's own terms; the hub's GLUE card)",
    fields=("sentence", "label"),
    to_example=to_example,
    grouped_by="review",
    read_answer=label_reader(LABELS),
    metrics=("accuracy", "f1"),
    labels=LABELS,
    max_new_tokens=8,
    example_row={"sentence": "a warm , funny and quietly clever film . ", "label": 1},
)
