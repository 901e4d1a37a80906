"""Rules of the tasks that choose among written-out alternatives."""

from __future__ import annotations

from collections.abc import Mapping

from peftbench.tasks.peft_bench._rule import Rule
from peftbench.tasks.peft_bench.labels import BINARY, MANY

_LETTERS = {letter: letter for letter in "ABCD"}

RULES: Mapping[str, Rule] = {
    "copa": Rule(
        # Whether the cause or the effect is asked for is left out, as published.
        ask="Choose the more plausible of the two alternatives to the premise. Answer "
        "with choice1 or choice2 only.",
        layout="Premise: {premise}\n\nChoice1: {choice1}\n\nChoice2: {choice2}",
        words={"A": "choice1", "B": "choice2"},
        metrics=BINARY,
    ),
    "openbookqa": Rule(
        ask="Choose the right answer to the question. Answer with A, B, C or D only.",
        layout="Question: {question_stem}\n\nChoices:\nA: {choices[text][0]}\n"
        "B: {choices[text][1]}\nC: {choices[text][2]}\nD: {choices[text][3]}",
        words=_LETTERS,
        metrics=MANY,
    ),
}
