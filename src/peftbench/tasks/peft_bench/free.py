"""Rules of the tasks whose answers are free: numbers, equations, worked solutions."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

from peftbench.tasks._answers import read_number
from peftbench.tasks._task import Row
from peftbench.tasks.peft_bench._equation import read_equation
from peftbench.tasks.peft_bench._rule import Rule, cleaned, one_for_each_answer


def read_score(raw: str) -> str | None:
    """An output that is a finite number as Python reads one.

    >>> read_score(" 3.8 "), read_score("3,8"), read_score("nan")
    ('3.8', None, None)
    """
    text = cleaned(raw)
    return text if _number(text) is not None else None


def read_final(raw: str) -> str | None:
    """The number after the last ####, without commas and per cent signs.

    >>> read_final("... #### 1,200"), read_final("#### $18"), read_final("18")
    ('1200', None, None)
    """
    _, marker, final = cleaned(raw).rpartition("####")
    plain = final.strip().replace(",", "").replace("%", "")
    return plain if marker and _number(plain) is not None else None


def read_equation_text(raw: str) -> str | None:
    """The output, if it is one equation and nothing else."""
    text = cleaned(raw)
    return text if read_equation(text) else None


def read_right_side(raw: str) -> str | None:
    """The number on the right of an equation's last =, or a number alone.

    >>> read_right_side("( 9.0 - 2.0 ) = 7.0"), read_right_side("x = seven")
    ('7.0', None)
    """
    return read_number(cleaned(raw).rpartition("=")[2])


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _score_text(row: Row) -> str:
    """As Python writes the hub's single-precision number, noise included."""
    return str(row["label"])


def _equation_text(row: Row) -> str:
    return f"{row['Equation']} = {row['Answer']}"


def _solution(row: Row) -> str:
    """With the annotations of its calculator."""
    return str(row["answer"])


def record_layout(row: Row) -> str:
    """Query, entities and passage; highlights become sentences of the passage.

    >>> print(record_layout({"query": "Q", "entities": ["A", "B"],
    ...                      "passage": "One.\\n@highlight\\nTwo\\n@highlight\\nThree"}))
    Query: Q
    <BLANKLINE>
    Entities: A, B
    <BLANKLINE>
    Passage: One. Two. Three
    """
    passage = re.sub(r"([.?!\"'])\n@highlight\n", r"\1 ", row["passage"])
    passage = passage.replace("\n@highlight\n", ". ")
    entities = ", ".join(row["entities"])
    return f"Query: {row['query']}\n\nEntities: {entities}\n\nPassage: {passage}"


def _answers(row: Row) -> Sequence[str]:
    return tuple(row["answers"])


def _first_answer(row: Row) -> str:
    return str(row["answers"][0])


RULES: Mapping[str, Rule] = {
    "stsb": Rule(
        ask="Give a score from 0 to 5 for how similar the two sentences are. Answer with "
        "the score only.",
        layout="{sentence1}\n{sentence2}",
        answer=_score_text,
        read=read_score,
        metrics=("peft_bench_pearson", "peft_bench_spearman"),
        max_new_tokens=32,
    ),
    "gsm8k": Rule(
        ask="Answer the mathematical question with a number. Put the final answer on a "
        "line of its own, after ####.",
        layout="{question}",
        answer=_solution,
        read=read_final,
        metrics=("peft_bench_gsm8k",),
        max_new_tokens=512,
    ),
    "record": Rule(
        ask="Going by the passage and its entities, say what @placeholder in the query "
        "stands for. Answer with the replacement only.",
        layout=record_layout,
        answer=_first_answer,
        read=cleaned,
        references=_answers,
        expand=one_for_each_answer,
        repeats_rows=True,
        metrics=("peft_bench_record_f1", "peft_bench_record_em"),
        max_new_tokens=64,
    ),
    "svamp": Rule(
        ask="Answer with one equation in parentheses and nothing else, in the form "
        "( x op y ) = z.",
        layout="Question: {question_concat}",
        fields=("Body", "Question", "question_concat", "Equation", "Answer"),
        answer=_equation_text,
        read=read_equation_text,
        strict_read=read_right_side,
        metrics=("peft_bench_svamp", "peft_bench_gold_equation"),
        max_new_tokens=64,
    ),
}
