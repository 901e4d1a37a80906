"""HellaSwag, how a text goes on (Zellers et al., 2019, arXiv:1905.07830).

row         {"ind": 0, "activity_label": "Baking", "ctx_a": "A man stands in the DIY
             kitchen.", "ctx_b": "he", "endings": ["bakes bread.", "swims away.", "sings to
             a cat.", "paints NASA's wall."], "source_id": "activitynet~v_x", "label": "0"}
prompt      "Topic: Baking\\nText: A man stands in the DIY kitchen. he\\n
             Question: Which ending goes on with the text best?\\nA: bakes bread.\\n
             B: swims away.\\nC: sings to a cat.\\nD: paints NASA's wall.\\n
             Answer with A, B, C or D.\\nAnswer:"
completion  "A"
target      "A"

The test labels are hidden (empty), so the validation split is our test. The text is shown
as it is, its capitals too, and nothing stands where `ctx_b` is empty. Texts from one video
or article form a group. Labels are text, from "0".
"""

from __future__ import annotations

from peftbench.errors import DataError
from peftbench.tasks._choices import choice_example, letter_reader, letters
from peftbench.tasks._fields import label_of, shown, text_of, texts_of
from peftbench.tasks._task import Example, Row, Task

LABELS = letters(4)


def to_example(row: Row) -> Example:
    """A text and four endings; a letter is the answer."""
    text = f"{text_of(row, 'ctx_a')} {text_of(row, 'ctx_b')}".strip()
    endings = texts_of(row, "endings")
    if len(endings) != len(LABELS):
        raise DataError(f"'endings' must be four texts; found {shown(endings)}.")
    answer = label_of(row, "label", {str(i): label for i, label in enumerate(LABELS)})
    return choice_example(
        f"Topic: {text_of(row, 'activity_label')}\nText: {text}\n"
        "Question: Which ending goes on with the text best?",
        endings,
        LABELS.index(answer),
        group=text_of(row, "source_id"),
    )


TASK = Task(
    description="HellaSwag: the ending that goes on with a text best, of four",
    hub_id="Rowan/hellaswag",
    revision="218ec52e09a7e7462a5400043bb9a69a41d06b76",
    splits={"train": "train", "test": "validation"},
    sizes={"train": 39_905, "validation": 10_042},
    license="MIT (the authors' repository; none stated on the hub)",
    fields=("activity_label", "ctx_a", "ctx_b", "endings", "source_id", "label"),
    to_example=to_example,
    grouped_by="video or article",
    read_answer=letter_reader(LABELS),
    metrics=("accuracy", "macro_f1"),
    labels=LABELS,
    max_new_tokens=32,
    example_row={
        "activity_label": "Baking",
        "ctx_a": "A man stands in the DIY kitchen.",
        "ctx_b": "he",
        "endings": [
            "bakes bread.",
            "swims away.",
            "sings to a cat.",
            "paints NASA's wall.",
        ],
        "source_id": "activitynet~v_x",
        "label": "0",
    },
)
