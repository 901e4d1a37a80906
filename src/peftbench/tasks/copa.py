"""COPA, choosing a cause or an effect (Roemmele, Bejan and Gordon, 2011, AAAI Spring
Symposium on Logical Formalizations of Commonsense Reasoning).

row         {"premise": "The lamp went out.", "choice1": "The bulb was old.",
             "choice2": "The lamp was red.", "question": "cause", "label": 0}
prompt      "Premise: The lamp went out.\\n
             Question: Which is the more likely cause of the premise?\\n
             A: The bulb was old.\\nB: The lamp was red.\\nAnswer with A or B.\\nAnswer:"
completion  "A"
target      "A"

The SuperGLUE version (Wang et al., 2019, arXiv:1905.00537). Its test labels are hidden, so
its validation split is our test. Without the question the task is undecided: of the same
premise and choices, one may be the cause and the other the effect. Neither letter is a
positive class, so F1 is the mean over both.
"""

from __future__ import annotations

from peftbench.tasks._choices import choice_example, letter_reader, letters
from peftbench.tasks._fields import label_of, text_of
from peftbench.tasks._task import Example, Row, Task

LABELS = letters(2)


def to_example(row: Row) -> Example:
    """Premise, what is asked of it, and two choices; a letter is the answer."""
    asked = label_of(row, "question", {"cause": "cause", "effect": "effect"})
    first, second = text_of(row, "choice1"), text_of(row, "choice2")
    answer = label_of(row, "label", {0: "A", 1: "B"})
    return choice_example(
        f"Premise: {text_of(row, 'premise')}\n"
        f"Question: Which is the more likely {asked} of the premise?",
        [first, second],
        LABELS.index(answer),
        # Whatever its premise, a pair of choices gives the answer away.
        group="\n".join(sorted((first, second))),
    )


TASK = Task(
    description="COPA: the more likely cause or effect of an event",
    hub_id="aps/super_glue",
    subset="copa",
    revision="3de24cf8022e94f4ee4b9d55a6f539891524d646",
    splits={"train": "train", "test": "validation"},
    sizes={"train": 400, "validation": 100},
    license="other (COPA's own terms; the hub's SuperGLUE card)",
    fields=("premise", "choice1", "choice2", "question", "label"),
    to_example=to_example,
    grouped_by="pair of choices",
    read_answer=letter_reader(LABELS),
    metrics=("accuracy", "macro_f1"),
    labels=LABELS,
    max_new_tokens=32,
    version=2,
    example_row={
        "premise": "The lamp went out.",
        "choice1": "The bulb was old.",
        "choice2": "The lamp was red.",
        "question": "cause",
        "label": 0,
    },
)
