"""SVAMP, simple maths word problems with a twist (Patel et al., 2021, arXiv:2103.07191).

row         {"Body": "Tom had 9 plums. He ate 2 plums and 3 figs",
             "Question": "How many plums has he now?", "Answer": "7.0"}
prompt      "Situation: Tom had 9 plums. He ate 2 plums and 3 figs\\n
             Question: How many plums has he now? Answer with one number only.\\nAnswer:"
completion  "7"
target      "7"

The answer is the number, perhaps with its unit, not the equation that leads to it, and is
compared with the row's own. The hub's 700 training and 300 test rows are its owner's cut,
not the paper's.
"""

from __future__ import annotations

from peftbench.tasks._answers import read_quantity
from peftbench.tasks._fields import number_of, text_of
from peftbench.tasks._task import Example, Row, Task


def to_example(row: Row) -> Example:
    """Situation and question; the number, without idle decimals, is the answer."""
    situation = text_of(row, "Body")
    answer = f"{number_of(row, 'Answer').normalize():f}"
    return Example(
        prompt=(
            f"Situation: {situation}\n"
            f"Question: {text_of(row, 'Question')} Answer with one number only.\n"
            "Answer:"
        ),
        completion=answer,
        target=answer,
        group=situation,
    )


TASK = Task(
    description="SVAMP: simple maths word problems with a twist",
    hub_id="ChilleD/SVAMP",
    revision="5e0bf1e5e7c0e9c4bc39180d224f41f3f801b7ef",
    splits={"train": "train", "test": "test"},
    sizes={"train": 700, "test": 300},
    license="MIT",
    fields=("Body", "Question", "Answer"),
    to_example=to_example,
    grouped_by="situation",
    read_answer=read_quantity,
    metrics=("numeric_match",),
    max_new_tokens=16,
    version=2,
    example_row={
        "Body": "Tom had 9 plums. He ate 2 plums and 3 figs",
        "Question": "How many plums has he now?",
        "Answer": "7.0",
    },
)
