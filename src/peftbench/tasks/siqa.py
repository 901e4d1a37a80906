"""SIQA, Social IQa: what people feel, want and do (Sap et al., 2019, arXiv:1904.09728).

row         {"context": "Rosa carried her neighbour's bags home.", "question": "How would
             her neighbour feel?", "answerA": "thankful", "answerB": "tired of Rosa",
             "answerC": "hungry", "label": "1"}
prompt      "Context: Rosa carried her neighbour's bags home.\\n
             Question: How would her neighbour feel?\\nA: thankful\\nB: tired of Rosa\\n
             C: hungry\\nAnswer with A, B or C.\\nAnswer:"
completion  "A"
target      "A"

From a mirror in Parquet with the rows of the original, which is a loading script. The test
labels are not published, so the validation split is our test. Labels count from "1" and are
text. The questions about a context form a group.
"""

from __future__ import annotations

from peftbench.tasks._choices import choice_example, letter_reader, letters
from peftbench.tasks._fields import label_of, text_of
from peftbench.tasks._task import Example, Row, Task

LABELS = letters(3)


def to_example(row: Row) -> Example:
    """A situation, a question and three choices; a letter is the answer."""
    context = text_of(row, "context")
    answer = label_of(row, "label", {"1": "A", "2": "B", "3": "C"})
    return choice_example(
        f"Context: {context}\nQuestion: {text_of(row, 'question')}",
        [text_of(row, f"answer{letter}") for letter in LABELS],
        LABELS.index(answer),
        group=context,
    )


TASK = Task(
    description="SIQA: what people feel, want and do, with three choices",
    hub_id="lighteval/siqa",
    revision="54c6a1f8cb6daf4f5abf24a601852612fb35eb25",
    splits={"train": "train", "test": "validation"},
    sizes={"train": 33_410, "validation": 1_954},
    license="CC BY 4.0",
    fields=("context", "question", "answerA", "answerB", "answerC", "label"),
    to_example=to_example,
    grouped_by="context",
    read_answer=letter_reader(LABELS),
    metrics=("accuracy", "macro_f1"),
    labels=LABELS,
    max_new_tokens=32,
    example_row={
        "context": "Rosa carried her neighbour's bags home.",
        "question": "How would her neighbour feel?",
        "answerA": "thankful",
        "answerB": "tired of Rosa",
        "answerC": "hungry",
        "label": "1",
    },
)
