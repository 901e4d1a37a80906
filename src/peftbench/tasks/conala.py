"""CoNaLa, what people ask on Stack Overflow and the line of Python that does it
(Yin et al., 2018, arXiv:1805.08949).

row         {"question_id": 101, "intent": "How to turn a list round?",
             "rewritten_intent": "reverse list `pens` in place", "snippet": "pens.reverse()"}
prompt      "Question: reverse list `pens` in place\\n
             Answer with Python code only.\\n
             Answer:"
completion  "pens.reverse()"
target      "pens.reverse()"

The intent was rewritten so that it names the variables of the snippet; where it was not, the
question's title stands for it. Rows of one question never stand in different splits. There
are no tests: chrF is the headline, which agrees with people best on this data (Evtikhiev et
al., 2023, arXiv:2208.03133), better than BLEU and CodeBLEU.
"""

from __future__ import annotations

from peftbench.tasks._fields import text_of
from peftbench.tasks._programs import read_program
from peftbench.tasks._task import Example, Row, Task


def to_example(row: Row) -> Example:
    """The rewritten intent, or the title where there is none; the snippet is written."""
    asked = "rewritten_intent" if row["rewritten_intent"] is not None else "intent"
    snippet = text_of(row, "snippet")
    return Example(
        prompt=(f"Question: {text_of(row, asked)}\nAnswer with Python code only.\nAnswer:"),
        completion=snippet,
        target=read_program(snippet) or "",
        group=str(row["question_id"]),
    )


TASK = Task(
    description="CoNaLa: from a question to a line of Python",
    hub_id="neulab/conala",
    revision="fbc749f1c537e5c3834e93b15784302e331debe2",
    files={
        # JSON Lines, in spite of their names; the repository's script is not needed.
        "train": "data/conala-paired-train.json",
        "test": "data/conala-paired-test.json",
    },
    splits={"train": "train", "test": "test"},
    sizes={"train": 2379, "test": 500},
    license="MIT",
    fields=("question_id", "intent", "rewritten_intent", "snippet"),
    to_example=to_example,
    grouped_by="question",
    read_answer=read_program,
    metrics=("chrf", "codebleu", "parses"),
    max_new_tokens=128,
    example_row={
        "question_id": 101,
        "intent": "How to turn a list round?",
        "rewritten_intent": "reverse list `pens` in place",
        "snippet": "pens.reverse()",
    },
)
