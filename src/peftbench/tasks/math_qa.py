"""MathQA, maths word problems with five choices (Amini et al., 2019, arXiv:1905.13319).

row         {"Problem": "a rope of 6 m is cut in 2 . how long is each part ?", "Rationale":
             "6 / 2 = 3 answer c", "options": "a ) 1 m , b ) 2 m , c ) 3 m , d ) 1,200 m ,
             e ) none of these", "correct": "c", "annotated_formula": "divide(6, 2)",
             "linear_formula": "divide(n0,n1)", "category": "physics"}
prompt      "Problem: a rope of 6 m is cut in 2 . how long is each part ?\\n
             Question: Which choice solves the problem?\\nA: 1 m\\nB: 2 m\\nC: 3 m\\n
             D: 1,200 m\\nE: none of these\\nAnswer with A, B, C, D or E.\\nAnswer:"
completion  "C"
target      "C"

From the hub's own conversion to Parquet: the repository is a loading script. As in
PEFT-Bench (arXiv:2511.21285) the letter is the whole answer, rationales are not trained on,
and the validation split is our test. The options are one text, which is taken apart.
"""

from __future__ import annotations

import re

from peftbench.errors import DataError
from peftbench.tasks._choices import choice_example, letter_reader, letters
from peftbench.tasks._fields import label_of, shown, text_of
from peftbench.tasks._task import Example, Row, Task

LABELS = letters(5)

_KEYS = "abcde"
#: "a ) 1 , b ) 2 , ...", and in some rows "['a ) 1', 'b ) 2', ...]"; a choice may hold commas.
_OPTIONS = re.compile(
    r"\[?['\"]?\s*a \)(.*?)"
    + "".join(rf"\s*['\"]?\s*,\s*['\"]?\s*{key} \)(.*?)" for key in _KEYS[1:])
    + r"\s*(?:['\"]?\])?",
    re.DOTALL,
)
#: Some choices name their letter a second time.
_AGAIN = re.compile(rf"\s*[{_KEYS}] \)\s*")


def to_example(row: Row) -> Example:
    """The problem and five choices; a letter is the answer."""
    problem = text_of(row, "Problem")
    answer = label_of(row, "correct", dict(zip(_KEYS, LABELS, strict=True)))
    return choice_example(
        f"Problem: {problem}\nQuestion: Which choice solves the problem?",
        _choices(text_of(row, "options")),
        LABELS.index(answer),
        group=problem,
    )


def _choices(options: str) -> list[str]:
    """
    >>> _choices("a ) 1 , b ) 2,000 , c ) 3 , d ) 4 , e ) none")
    ['1', '2,000', '3', '4', 'none']
    >>> _choices("['a ) a ) 1', 'b ) b ) 2', 'c ) c ) 3', 'd ) d ) 4', 'e ) e ) 5']")
    ['1', '2', '3', '4', '5']
    """
    found = _OPTIONS.fullmatch(options)
    if found is None:
        raise DataError(
            f"'options' must hold five choices, a ) to e ); found {shown(options)}."
        )
    return [_AGAIN.sub("", text, count=1).strip() for text in found.groups()]


TASK = Task(
    description="MathQA: maths word problems with five choices",
    hub_id="allenai/math_qa",
    revision="fafb9f7ee5b9ec4da9499f9c4177a4c91389f2d6",
    splits={"train": "train", "test": "validation"},
    sizes={"train": 29_837, "validation": 4_475},
    license="Apache-2.0",
    fields=("Problem", "options", "correct"),
    to_example=to_example,
    grouped_by="problem",
    read_answer=letter_reader(LABELS),
    metrics=("accuracy", "macro_f1"),
    labels=LABELS,
    max_new_tokens=32,
    example_row={
        "Problem": "a rope of 6 m is cut in 2 . how long is each part ?",
        "options": "a ) 1 m , b ) 2 m , c ) 3 m , d ) 1,200 m , e ) none of these",
        "correct": "c",
    },
)
