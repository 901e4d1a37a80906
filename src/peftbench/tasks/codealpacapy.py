"""CodeAlpaca, the part in Python: small programs written on request, made by a language
model in the way of Self-Instruct (Wang et al., 2022, arXiv:2212.10560).

row         {"prompt": "Write a function that doubles a number.",
             "response": "def double(number):\\n    return 2 * number"}
prompt      "Question: Write a function that doubles a number.\\n
             Answer with Python code only.\\n
             Answer:"
completion  "def double(number):\\n    return 2 * number"
target      "def double(number):\\n    return 2 * number"

There are no tests, and the one answer given is one of many right ones: chrF is the headline,
as for CoNaLa.
"""

from __future__ import annotations

from peftbench.tasks._fields import text_of
from peftbench.tasks._programs import read_program
from peftbench.tasks._task import Example, Row, Task


def to_example(row: Row) -> Example:
    """The request with its input, if it has one; the program is written."""
    request = text_of(row, "prompt")
    program = read_program(text_of(row, "response")) or ""
    return Example(
        prompt=f"Question: {request}\nAnswer with Python code only.\nAnswer:",
        completion=program,
        target=program,
        group=request,
    )


TASK = Task(
    description="CodeAlpaca: small Python programs on request",
    hub_id="Abzu/CodeAlpacaPython",
    revision="1cb10405a534f937416f9996e483efc3f38cfe62",
    splits={"train": "train", "test": "test"},
    sizes={"train": 8477, "test": 942},
    license="cc (version not stated)",
    fields=("prompt", "response"),
    to_example=to_example,
    grouped_by="instruction",
    read_answer=read_program,
    metrics=("chrf", "codebleu", "parses"),
    max_new_tokens=256,
    example_row={
        "prompt": "Write a function that doubles a number.",
        "response": "def double(number):\n    return 2 * number",
    },
)
