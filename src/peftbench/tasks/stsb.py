"""STS-B, how similar two sentences are in meaning (Cer et al., 2017, arXiv:1708.00055).

row         {"sentence1": "A boy kicks a ball.", "sentence2": "A child plays football.",
             "label": 3.799999952316284}
prompt      "Sentence 1: A boy kicks a ball.\\nSentence 2: A child plays football.\\n
             Question: How similar in meaning are the two sentences, from 0.0 (unrelated)
             to 5.0 (equivalent)? Answer with one number with one decimal.\\nAnswer:"
completion  "3.8"
target      "3.8"

The GLUE version (Wang et al., 2019, arXiv:1804.07461). Its test scores are hidden, so its
validation split is our test. The hub keeps the scores in single precision; written with one
decimal they are again what people gave. Nine in a hundred are means with more decimals:
rounding them leaves a correlation of 0.9999 with the exact ones.
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

from peftbench.errors import DataError
from peftbench.tasks._answers import read_number
from peftbench.tasks._fields import number_of, text_of
from peftbench.tasks._task import Example, Row, Task


def to_example(row: Row) -> Example:
    """The two sentences and the question; the score is the answer."""
    score = number_of(row, "label")
    if not 0 <= score <= 5:
        raise DataError(f"'label' must be from 0 to 5; found {score} (-1: no score given).")
    # Thousandths first: 0.45 is 0.44999998 in single precision.
    rounded = score.quantize(Decimal("0.001")).quantize(Decimal("0.1"), ROUND_HALF_UP)
    first, second = text_of(row, "sentence1"), text_of(row, "sentence2")
    return Example(
        prompt=(
            f"Sentence 1: {first}\n"
            f"Sentence 2: {second}\n"
            "Question: How similar in meaning are the two sentences, from 0.0 (unrelated) "
            "to 5.0 (equivalent)? Answer with one number with one decimal.\n"
            "Answer:"
        ),
        completion=str(rounded),
        target=str(rounded),
        group="\n".join(sorted((first, second))),
    )


def read_answer(raw: str) -> str | None:
    """Read a bare number from 0 to 5; any other is no answer to the question.

    >>> read_answer(" 3.8"), read_answer("38"), read_answer("quite similar")
    ('3.8', None, None)
    """
    number = read_number(raw)
    return number if number is not None and 0 <= float(number) <= 5 else None


TASK = Task(
    description="STS-B: how similar two sentences are in meaning, from 0 to 5",
    hub_id="nyu-mll/glue",
    subset="stsb",
    revision="bcdcba79d07bc864c1c254ccfcedcce55bcc9a8c",
    splits={"train": "train", "test": "validation"},
    sizes={"train": 5_749, "validation": 1_500},
    license="CC BY-SA 4.0 for the scores; other terms per source of the sentences",
    fields=("sentence1", "sentence2", "label"),
    to_example=to_example,
    grouped_by="pair of sentences",
    read_answer=read_answer,
    metrics=("pearson", "spearman"),
    max_new_tokens=8,
    example_row={
        "sentence1": "A boy kicks a ball.",
        "sentence2": "A child plays football.",
        "label": 3.799999952316284,
    },
)
