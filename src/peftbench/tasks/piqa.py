"""PIQA, how things are done in the physical world (Bisk et al., 2020, arXiv:1911.11641).

row         {"goal": "Keep bread fresh", "sol1": "Leave it in the sun.", "sol2": "Wrap it in
             a cloth.", "label": 1}
prompt      "Goal: Keep bread fresh\\n
             Question: Which solution reaches the goal better?\\n
             A: Leave it in the sun.\\nB: Wrap it in a cloth.\\nAnswer with A or B.\\n
             Answer:"
completion  "B"
target      "B"

From a mirror in Parquet: the official repository is a loading script. The test labels are
hidden, so the validation split is our test. Neither letter is a positive class, so F1 is
the mean over both. The two solutions of a goal form a group with those of an equal goal.
"""

from __future__ import annotations

from peftbench.tasks._choices import choice_example, letter_reader, letters
from peftbench.tasks._fields import label_of, text_of
from peftbench.tasks._task import Example, Row, Task

LABELS = letters(2)


def to_example(row: Row) -> Example:
    """A goal and two solutions; a letter is the answer."""
    goal = text_of(row, "goal")
    # The mirror's readers disagree on whether the label is text.
    answer = label_of(row, "label", {0: "A", 1: "B", "0": "A", "1": "B"})
    return choice_example(
        f"Goal: {goal}\nQuestion: Which solution reaches the goal better?",
        [text_of(row, "sol1"), text_of(row, "sol2")],
        LABELS.index(answer),
        group=goal,
    )


TASK = Task(
    description="PIQA: the better of two ways to reach a goal in the physical world",
    hub_id="baber/piqa",
    revision="142f6d7367fd9877f0fb3b5734ea6a545f54cdd1",
    splits={"train": "train", "test": "validation"},
    sizes={"train": 16_113, "validation": 1_838},
    license="none stated (the hub's mirror)",
    fields=("goal", "sol1", "sol2", "label"),
    to_example=to_example,
    grouped_by="goal",
    read_answer=letter_reader(LABELS),
    metrics=("accuracy", "macro_f1"),
    labels=LABELS,
    max_new_tokens=32,
    example_row={
        "goal": "Keep bread fresh",
        "sol1": "Leave it in the sun.",
        "sol2": "Wrap it in a cloth.",
        "label": 1,
    },
)
