"""MMLU, examination questions of 57 subjects (Hendrycks et al., 2021, arXiv:2009.03300).

row         {"question": "Which gas do plants take in?", "subject": "biology", "choices":
             ["Helium", "Carbon dioxide", "Neon", "Argon"], "answer": 1}
prompt      "Question: Which gas do plants take in?\\nA: Helium\\nB: Carbon dioxide\\n
             C: Neon\\nD: Argon\\nAnswer with A, B, C or D.\\nAnswer:"
completion  "B"
target      "B"

Training is on the hub's `auxiliary_train`, questions of other examinations without a
subject, so that no prompt names one. Tested is the test split that everyone reports, and
not its validation split of 1,531 rows, which is ours as well. OpenBookQA is one of the
sources of `auxiliary_train`.
"""

from __future__ import annotations

from peftbench.errors import DataError
from peftbench.tasks._choices import choice_example, letter_reader, letters
from peftbench.tasks._fields import label_of, shown, text_of, texts_of
from peftbench.tasks._task import Example, Row, Task

LABELS = letters(4)


def to_example(row: Row) -> Example:
    """The question and four choices; a letter is the answer."""
    question, choices = text_of(row, "question"), texts_of(row, "choices")
    if len(choices) != len(LABELS):
        raise DataError(f"'choices' must be four texts; found {shown(choices)}.")
    answer = label_of(row, "answer", dict(enumerate(LABELS)))
    head = f"Question: {question}"
    return choice_example(head, choices, LABELS.index(answer), group=question)


TASK = Task(
    description="MMLU: examination questions of 57 subjects with four choices",
    hub_id="cais/mmlu",
    subset="all",
    revision="c30699e8356da336a370243923dbaf21066bb9fe",
    splits={"train": "auxiliary_train", "validation": "validation", "test": "test"},
    sizes={"auxiliary_train": 99_842, "validation": 1_531, "test": 14_042},
    license="MIT",
    fields=("question", "choices", "answer"),
    to_example=to_example,
    grouped_by="question",
    read_answer=letter_reader(LABELS),
    metrics=("accuracy", "macro_f1"),
    labels=LABELS,
    max_new_tokens=32,
    example_row={
        "question": "Which gas do plants take in?",
        "choices": ["Helium", "Carbon dioxide", "Neon", "Argon"],
        "answer": 1,
    },
)
