"""WiC, whether a word has the same sense twice (Pilehvar and Camacho-Collados, 2019,
arXiv:1808.09121).

row         {"word": "bank", "sentence1": "We sat on the bank of the river.", "sentence2":
             "The bank lends money.", "start1": 14, "start2": 4, "end1": 18, "end2": 8,
             "idx": 0, "label": 0}
prompt      "Sentence 1: We sat on the bank of the river.\\n
             Sentence 2: The bank lends money.\\n
             Question: Does the word "bank" have the same meaning in both sentences?
             Answer yes or no.\\nAnswer:"
completion  "no"
target      "no"

The SuperGLUE version (Wang et al., 2019, arXiv:1905.00537). Its test labels are hidden, so
its validation split is our test. "False" and "True" become no and yes; F1 is that of yes.
"""

from __future__ import annotations

from peftbench.tasks._answers import label_reader
from peftbench.tasks._fields import label_of, text_of
from peftbench.tasks._task import Example, Row, Task

LABELS = ("no", "yes")


def to_example(row: Row) -> Example:
    """Two sentences and a word; the answer is whether it means the same in both."""
    first, second = text_of(row, "sentence1"), text_of(row, "sentence2")
    answer = label_of(row, "label", {0: "no", 1: "yes"})
    return Example(
        prompt=(
            f"Sentence 1: {first}\n"
            f"Sentence 2: {second}\n"
            f'Question: Does the word "{text_of(row, "word")}" have the same meaning in '
            "both sentences? Answer yes or no.\n"
            "Answer:"
        ),
        completion=answer,
        target=answer,
        group="\n".join(sorted((first, second))),
    )


TASK = Task(
    description="WiC: whether a word means the same in two sentences",
    hub_id="aps/super_glue",
    subset="wic",
    revision="3de24cf8022e94f4ee4b9d55a6f539891524d646",
    splits={"train": "train", "test": "validation"},
    sizes={"train": 5_428, "validation": 638},
    license="other (WiC's own terms; the hub's SuperGLUE card)",
    fields=("word", "sentence1", "sentence2", "label"),
    to_example=to_example,
    grouped_by="pair of sentences",
    read_answer=label_reader(LABELS),
    metrics=("accuracy", "f1"),
    labels=LABELS,
    max_new_tokens=8,
    example_row={
        "word": "bank",
        "sentence1": "We sat on the bank of the river.",
        "sentence2": "The bank lends money.",
        "label": 0,
    },
)
