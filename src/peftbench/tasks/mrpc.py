"""MRPC, whether two sentences mean the same (Dolan and Brockett, 2005,
aclanthology.org/I05-5002).

row         {"sentence1": "The bank said profits rose by 5 percent .", "sentence2": "Profits
             rose 5 percent , the bank said .", "label": 1, "idx": 0}
prompt      "Sentence 1: The bank said profits rose by 5 percent .\\n
             Sentence 2: Profits rose 5 percent , the bank said .\\n
             Question: Do the two sentences mean the same? Answer yes or no.\\nAnswer:"
completion  "yes"
target      "yes"

The GLUE version (Wang et al., 2019, arXiv:1804.07461), on whose validation split results are
reported. "not_equivalent" and "equivalent" become no and yes; F1 is that of yes, of which
two rows in three are, so that the constant yes has an F1 of 0.81: accuracy comes first.
"""

from __future__ import annotations

from peftbench.tasks._answers import label_reader
from peftbench.tasks._fields import label_of, text_of
from peftbench.tasks._task import Example, Row, Task

LABELS = ("no", "yes")


def to_example(row: Row) -> Example:
    """Two sentences; the answer is whether they mean the same."""
    first, second = text_of(row, "sentence1"), text_of(row, "sentence2")
    answer = label_of(row, "label", {0: "no", 1: "yes"})
    return Example(
        prompt=(
            f"Sentence 1: {first}\n"
            f"Sentence 2: {second}\n"
            "Question: Do the two sentences mean the same? Answer yes or no.\n"
            "Answer:"
        ),
        completion=answer,
        target=answer,
        group="\n".join(sorted((first, second))),
    )


TASK = Task(
    description="MRPC: whether two sentences from the news mean the same",
    hub_id="nyu-mll/glue",
    subset="mrpc",
    revision="bcdcba79d07bc864c1c254ccfcedcce55bcc9a8c",
    splits={"train": "train", "test": "validation"},
    sizes={"train": 3_668, "validation": 408},
    license="other (Microsoft's research terms; the hub's GLUE card)",
    fields=("sentence1", "sentence2", "label"),
    to_example=to_example,
    grouped_by="pair of sentences",
    read_answer=label_reader(LABELS),
    metrics=("accuracy", "f1"),
    labels=LABELS,
    max_new_tokens=8,
    example_row={
        "sentence1": "The bank said profits rose by 5 percent .",
        "sentence2": "Profits rose 5 percent , the bank said .",
        "label": 1,
    },
)
