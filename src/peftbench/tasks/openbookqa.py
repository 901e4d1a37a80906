"""OpenBookQA, elementary science questions (Mihaylov et al., 2018, arXiv:1809.02789).

row         {"question_stem": "A magnet will pull on", "choices": {"text": ["a paper cup",
             "an iron nail", "a glass jar", "a wool sock"], "label": ["A", "B", "C", "D"]},
             "answerKey": "B"}
prompt      "Question: A magnet will pull on\\nA: a paper cup\\nB: an iron nail\\n
             C: a glass jar\\nD: a wool sock\\nAnswer with A, B, C or D.\\nAnswer:"
completion  "B"
target      "B"

All three splits are the hub's own; the test labels are public. The answer key is looked up
in the row's own list of labels, whatever they are called there.
"""

from __future__ import annotations

from peftbench.errors import DataError
from peftbench.tasks._choices import choice_example, letter_reader, letters
from peftbench.tasks._fields import shown, text_of
from peftbench.tasks._task import Example, Row, Task

LABELS = letters(4)


def to_example(row: Row) -> Example:
    """The question and four choices; a letter is the answer."""
    stem = text_of(row, "question_stem")
    texts, keys = _choices(row)
    key = text_of(row, "answerKey")
    if key not in keys:
        raise DataError(f"'answerKey' is {shown(key)}; allowed: {', '.join(keys)}.")
    return choice_example(f"Question: {stem}", texts, keys.index(key), group=stem)


def _choices(row: Row) -> tuple[list[str], list[str]]:
    choices = row["choices"]
    try:
        texts, keys = list(choices["text"]), list(choices["label"])
    except (KeyError, TypeError):
        texts, keys = [], []
    if not len(texts) == len(keys) == len(set(keys)) == len(LABELS):
        raise DataError(
            "'choices' must hold two lists of four, 'text' and 'label'; found "
            f"{shown(choices)}."
        )
    return texts, keys


TASK = Task(
    description="OpenBookQA: elementary science questions with four choices",
    hub_id="allenai/openbookqa",
    subset="main",
    revision="388097ea7776314e93a529163e0fea805b8a6454",
    splits={"train": "train", "validation": "validation", "test": "test"},
    sizes={"train": 4_957, "validation": 500, "test": 500},
    license="unknown (the hub's card)",
    fields=("question_stem", "choices", "answerKey"),
    to_example=to_example,
    grouped_by="question",
    read_answer=letter_reader(LABELS),
    metrics=("accuracy", "macro_f1"),
    labels=LABELS,
    max_new_tokens=32,
    version=2,
    example_row={
        "question_stem": "A magnet will pull on",
        "choices": {
            "text": ["a paper cup", "an iron nail", "a glass jar", "a wool sock"],
            "label": ["A", "B", "C", "D"],
        },
        "answerKey": "B",
    },
)
