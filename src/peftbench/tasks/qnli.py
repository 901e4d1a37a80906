"""QNLI, whether a sentence answers a question (Wang et al., 2019, arXiv:1804.07461; from
SQuAD, Rajpurkar et al., 2016, arXiv:1606.05250).

row         {"question": "Where does the river rise?", "sentence": "The river rises in the
             hills above Arden.", "label": 0, "idx": 0}
prompt      "Sentence: The river rises in the hills above Arden.\\n
             Question: Where does the river rise?\\n
             Does the sentence answer the question? Answer yes or no.\\nAnswer:"
completion  "yes"
target      "yes"

The GLUE version. Its test labels are hidden, so its validation split is our test.
"entailment", which is 0, becomes yes and "not_entailment" no; F1 is that of yes. A question
stands there with more than one sentence, and they form a group.
"""

from __future__ import annotations

from peftbench.tasks._answers import label_reader
from peftbench.tasks._fields import label_of, text_of
from peftbench.tasks._task import Example, Row, Task

LABELS = ("no", "yes")


def to_example(row: Row) -> Example:
    """Sentence and question; the answer is whether one answers the other."""
    question = text_of(row, "question")
    answer = label_of(row, "label", {0: "yes", 1: "no"})
    return Example(
        prompt=(
            f"Sentence: {text_of(row, 'sentence')}\n"
            f"Question: {question}\n"
            "Does the sentence answer the question? Answer yes or no.\n"
            "Answer:"
        ),
        completion=answer,
        target=answer,
        group=question,
    )


TASK = Task(
    description="QNLI: whether a sentence answers a question",
    hub_id="nyu-mll/glue",
    subset="qnli",
    revision="bcdcba79d07bc864c1c254ccfcedcce55bcc9a8c",
    splits={"train": "train", "test": "validation"},
    sizes={"train": 104_743, "validation": 5_463},
    license="other (SQuAD's own terms; the hub's GLUE card)",
    fields=("question", "sentence", "label"),
    to_example=to_example,
    grouped_by="question",
    read_answer=label_reader(LABELS),
    metrics=("accuracy", "f1"),
    labels=LABELS,
    max_new_tokens=8,
    example_row={
        "question": "Where does the river rise?",
        "sentence": "The river rises in the hills above Arden.",
        "label": 0,
    },
)
