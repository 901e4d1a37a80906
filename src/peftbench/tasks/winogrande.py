"""WinoGrande, which of two nouns fills a blank (Sakaguchi et al., 2020, arXiv:1907.10641).

row         {"sentence": "The cup did not fit on the shelf because the _ was too tall.",
             "option1": "cup", "option2": "shelf", "answer": "1"}
prompt      "Sentence: The cup did not fit on the shelf because the _ was too tall.\\n
             Question: What fills the blank (_)?\\nA: cup\\nB: shelf\\n
             Answer with A or B.\\nAnswer:"
completion  "A"
target      "A"

The largest training set (`winogrande_xl`). The test labels are hidden (empty), so the
validation split is our test. Most sentences have a twin that differs in a word and in its
answer; rows with the same two options form a group, which keeps twins together. Neither
letter is a positive class, so F1 is the mean over both.
"""

from __future__ import annotations

from peftbench.errors import DataError
from peftbench.tasks._choices import choice_example, letter_reader, letters
from peftbench.tasks._fields import label_of, shown, text_of
from peftbench.tasks._task import Example, Row, Task

LABELS = letters(2)


def to_example(row: Row) -> Example:
    """A sentence with a blank and two options; a letter is the answer."""
    sentence = text_of(row, "sentence")
    if sentence.count("_") != 1:
        raise DataError(f"'sentence' must have one blank, _; found {shown(sentence)}.")
    options = [text_of(row, "option1"), text_of(row, "option2")]
    answer = label_of(row, "answer", {"1": "A", "2": "B"})
    return choice_example(
        f"Sentence: {sentence}\nQuestion: What fills the blank (_)?",
        options,
        LABELS.index(answer),
        group="\n".join(sorted(options)),
    )


TASK = Task(
    description="WinoGrande: which of two nouns fills the blank of a sentence",
    hub_id="allenai/winogrande",
    subset="winogrande_xl",
    revision="01e74176c63542e6b0bcb004dcdea22d94fb67b5",
    splits={"train": "train", "test": "validation"},
    sizes={"train": 40_398, "validation": 1_267},
    license="none stated (the hub's card)",
    fields=("sentence", "option1", "option2", "answer"),
    to_example=to_example,
    grouped_by="pair of options",
    read_answer=letter_reader(LABELS),
    metrics=("accuracy", "macro_f1"),
    labels=LABELS,
    max_new_tokens=32,
    example_row={
        "sentence": "The cup did not fit on the shelf because the _ was too tall.",
        "option1": "cup",
        "option2": "shelf",
        "answer": "1",
    },
)
