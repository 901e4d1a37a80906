"""Rules of the tasks that choose among written-out alternatives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from peftbench.tasks._task import Example, Row
from peftbench.tasks.peft_bench._rule import Rule
from peftbench.tasks.peft_bench.labels import BINARY, MANY


def hellaswag_layout(row: Row) -> str:
    """The start and four endings; a comma too many and lost capitals are published so."""
    endings = (f"Ending{i}: {text}" for i, text in enumerate(row["endings"], start=1))
    start = f"Sentence: {row['ctx_a']} {row['ctx_b'].capitalize()},"
    return "\n".join([f"{start}\n", *endings])


def _without_instruction(example: Example) -> Sequence[Example]:
    """Published training rows of WinoGrande have none; the test rows have."""
    return [replace(example, prompt=example.prompt.partition("\n")[2])]


RULES: Mapping[str, Rule] = {
    "copa": Rule(
        # Whether the cause or the effect is asked for is left out, as published.
        ask="Choose the more plausible of the two alternatives to the premise. Answer "
        "with choice1 or choice2 only.",
        layout="Premise: {premise}\n\nChoice1: {choice1}\n\nChoice2: {choice2}",
        words={"A": "choice1", "B": "choice2"},
        metrics=BINARY,
    ),
    "piqa": Rule(
        ask="Choose the right solution to the question. Answer with solution1 or "
        "solution2 only.",
        layout="Question: {goal}\n\nSolution1: {sol1}\nSolution2: {sol2}",
        words={"A": "solution1", "B": "solution2"},
        metrics=BINARY,
    ),
    "winogrande": Rule(
        # Both options bear the same name, as published.
        ask="Choose the option that fills the place of _ in the sentence. Answer with "
        "option1 or option2 only.",
        layout="Sentence: {sentence}\n\nOption1: {option1}\nOption1: {option2}",
        words={"A": "option1", "B": "option2"},
        expand=_without_instruction,
        metrics=BINARY,
    ),
    "siqa": Rule(
        ask="Choose the right answer to the question, going by the context. Answer with "
        "A, B or C only.",
        layout="Context: {context}\n\nQuestion: {question}\n\nChoices:\nA: {answerA}\n"
        "B: {answerB}\nC: {answerC}",
        words={letter: letter for letter in "ABC"},
        metrics=MANY,
    ),
    "hellaswag": Rule(
        ask="Choose the ending that completes the sentence. Answer with ending1, ending2, "
        "ending3 or ending4 only.",
        layout=hellaswag_layout,
        words={letter: f"ending{i}" for i, letter in enumerate("ABCD", start=1)},
        metrics=MANY,
    ),
    "openbookqa": Rule(
        ask="Choose the right answer to the question. Answer with A, B, C or D only.",
        layout="Question: {question_stem}\n\nChoices:\nA: {choices[text][0]}\n"
        "B: {choices[text][1]}\nC: {choices[text][2]}\nD: {choices[text][3]}",
        words={letter: letter for letter in "ABCD"},
        splits={"train": "train", "test": "validation"},
        metrics=MANY,
    ),
    "mmlu": Rule(
        ask="Choose the right answer to the question. Answer with A, B, C or D only.",
        layout="Question: {question}\n\nChoices:\nA: {choices[0]}\nB: {choices[1]}\n"
        "C: {choices[2]}\nD: {choices[3]}",
        words={letter: letter for letter in "ABCD"},
        splits={"train": "auxiliary_train", "test": "validation"},
        metrics=MANY,
    ),
    "math_qa": Rule(
        ask="Choose the right option for the problem. Answer with a, b, c, d or e only.",
        layout="Problem: {Problem}\n\nOptions: {options}",
        words={letter: letter.lower() for letter in "ABCDE"},
        metrics=MANY,
    ),
}
