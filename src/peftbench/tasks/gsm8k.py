"""GSM8K, grade-school maths word problems (Cobbe et al., 2021, arXiv:2110.14168).

row         {"question": "Ann has 3 pens and buys 1,200. How many has she?",
             "answer": "She has 3 + 1200 = <<3+1200=1203>>1,203 pens.\\n#### 1,203"}
prompt      "Question: Ann has 3 pens and buys 1,200. How many has she?\\n
             Solve it step by step. End with a line that holds #### and the final number.\\n
             Answer:"
completion  "She has 3 + 1200 = 1,203 pens.\\n#### 1,203"
target      "1203"

Training is on the worked solution without its <<...>> annotations: they call a calculator
that the paper's models had while they wrote, and ours have not. As in the paper's own code,
the answer is the number after ####, and there is none without it: the last number of a
solution that was cut short is a step, not an answer.
"""

from __future__ import annotations

import re

from peftbench.errors import DataError
from peftbench.tasks._answers import number_after
from peftbench.tasks._fields import text_of
from peftbench.tasks._task import Example, Row, Task

_CALCULATOR = re.compile(r"<<[^<>]*>>")

read_answer = number_after("####")


def to_example(row: Row) -> Example:
    """The question; the worked solution is written, its final number is compared."""
    question = text_of(row, "question")
    solution = _CALCULATOR.sub("", text_of(row, "answer"))
    final = read_answer(solution)
    if final is None:
        raise DataError("'answer' must end in a line with #### and the final number.")
    return Example(
        prompt=(
            f"Question: {question}\n"
            "Solve it step by step. End with a line that holds #### and the final number.\n"
            "Answer:"
        ),
        completion=solution,
        target=final,
        group=question,
    )


TASK = Task(
    description="GSM8K: grade-school maths word problems, solved step by step",
    hub_id="openai/gsm8k",
    subset="main",
    revision="740312add88f781978c0658806c59bc2815b9866",
    splits={"train": "train", "test": "test"},
    sizes={"train": 7_473, "test": 1_319},
    license="MIT",
    fields=("question", "answer"),
    to_example=to_example,
    grouped_by="question",
    read_answer=read_answer,
    metrics=("numeric_match",),
    max_new_tokens=320,
    version=2,
    example_row={
        "question": "Ann has 3 pens and buys 1,200. How many has she?",
        "answer": "She has 3 + 1200 = <<3+1200=1203>>1,203 pens.\n#### 1,203",
    },
)
