"""WSC, whom a pronoun refers to (Levesque, Davis and Morgenstern, 2012, Winograd Schema
Challenge; in SuperGLUE, Wang et al., 2019, arXiv:1905.00537).

row         {"text": "Mia thanked Ada because she had helped.", "span1_index": 2,
             "span2_index": 4, "span1_text": "Ada", "span2_text": "she", "idx": 0,
             "label": 1}
prompt      "Text: Mia thanked *Ada* because #she# had helped.\\n
             Question: Does the pronoun #she# refer to *Ada*? Answer yes or no.\\nAnswer:"
completion  "yes"
target      "yes"

The hub's "wsc.fixed", whose spans agree with its texts. Its test labels are hidden, so its
validation split is our test. Stars mark the noun, which is span 1, and hashes the pronoun,
which is span 2; both are found by the number of their first word, since the same word may
stand in a text several times. Two texts in three are of no: F1 is that of yes.
"""

from __future__ import annotations

import re

from peftbench.errors import DataError
from peftbench.tasks._answers import label_reader
from peftbench.tasks._fields import label_of, shown, text_of
from peftbench.tasks._task import Example, Row, Task

LABELS = ("no", "yes")


def to_example(row: Row) -> Example:
    """A text with its noun and pronoun marked; the answer is whether they are one."""
    text = str(row["text"])
    noun, pronoun = text_of(row, "span1_text"), text_of(row, "span2_text")
    places = [
        (_place(row, text, "span1"), noun, "*"),
        (_place(row, text, "span2"), pronoun, "#"),
    ]
    marked = text
    for start, span, mark in sorted(places, reverse=True):
        end = start + len(span)
        marked = f"{marked[:start]}{mark}{marked[start:end]}{mark}{marked[end:]}"
    answer = label_of(row, "label", {0: "no", 1: "yes"})
    return Example(
        prompt=(
            f"Text: {marked.strip()}\n"
            f"Question: Does the pronoun #{pronoun}# refer to *{noun}*? Answer yes or no.\n"
            "Answer:"
        ),
        completion=answer,
        target=answer,
        group=text.strip(),
    )


def _place(row: Row, text: str, span: str) -> int:
    """Where a span begins: of all places where its words stand, the nearest to its index."""
    words = text_of(row, f"{span}_text")
    # Not at word boundaries of a pattern made of the span: it may begin with a bracket.
    found = [
        at.start()
        for at in re.finditer(re.escape(words), text, re.IGNORECASE)
        if not _inside_word(text, at.start(), at.end())
    ]
    if not found:
        raise DataError(f"'{span}_text' is {shown(words)}, which does not stand in 'text'.")
    index = row[f"{span}_index"]
    return min(found, key=lambda start: abs(len(text[:start].split()) - index))


def _inside_word(text: str, start: int, end: int) -> bool:
    before, after = text[max(0, start - 1) : start + 1], text[end - 1 : end + 1]
    return any(len(edge) == 2 and edge.isalnum() for edge in (before, after))


TASK = Task(
    description="WSC: whether a pronoun refers to a noun",
    hub_id="aps/super_glue",
    subset="wsc.fixed",
    revision="3de24cf8022e94f4ee4b9d55a6f539891524d646",
    splits={"train": "train", "test": "validation"},
    sizes={"train": 554, "validation": 104},
    license="other (WSC's own terms; the hub's SuperGLUE card)",
    fields=("text", "span1_index", "span2_index", "span1_text", "span2_text", "label"),
    to_example=to_example,
    grouped_by="text",
    read_answer=label_reader(LABELS),
    metrics=("accuracy", "f1"),
    labels=LABELS,
    max_new_tokens=8,
    example_row={
        "text": "Mia thanked Ada because she had helped.",
        "span1_index": 2,
        "span2_index": 4,
        "span1_text": "Ada",
        "span2_text": "she",
        "label": 1,
    },
)
