"""Rules of the tasks that sort a text or a pair of texts into named classes."""

from __future__ import annotations

import re
from collections.abc import Mapping

from peftbench.tasks._task import Row
from peftbench.tasks.peft_bench._rule import Rule

BINARY = ("peft_bench_f1", "peft_bench_em")
MANY = ("peft_bench_macro_f1", "peft_bench_em")

_TRUTH = {"no": "False", "yes": "True"}


def wsc_layout(row: Row) -> str:
    """The first span between * and the second between #, as published: the instruction
    calls them the other way round.

    Spans go into a pattern as they are, as published too: one with a sign that means
    something there, or that is not where its index says, is not marked.

    >>> wsc_layout({"text": "Mia met Ada", "span1_text": "Mia", "span1_index": 0,
    ...             "span2_text": "Ada", "span2_index": 2})
    '* Mia * met # Ada #'
    """
    first, second = row["span1_index"], row["span2_index"]
    marked = _marked(row["text"], row["span1_text"], first, "*")
    # The first two marks stand as words of their own.
    return _marked(marked, row["span2_text"], second + 2 * (first < second), "#")


def _marked(text: str, span: str, index: int, mark: str) -> str:
    try:
        return re.sub(rf"^((?:\S+\s){{{index}}})({span})", rf"\1{mark} \2 {mark}", text)
    except re.error:
        return text


RULES: Mapping[str, Rule] = {
    "mnli": Rule(
        ask="Say how the premise and the hypothesis relate: entailment, neutral or "
        "contradiction. Answer with the class only.",
        layout="{premise}\n{hypothesis}",
        words={"yes": "entailment", "maybe": "neutral", "no": "contradiction"},
        splits={"train": "train", "test": "validation_mismatched"},
        metrics=MANY,
    ),
    "qqp": Rule(
        ask="Sort the pair of questions into the classes duplicate and not_duplicate. "
        "Answer with the class only.",
        layout="{question1}\n{question2}",
        words={"no": "not_duplicate", "yes": "duplicate"},
        metrics=BINARY,
    ),
    "qnli": Rule(
        ask="Sort the question and the sentence into the classes entailment and "
        "not_entailment. Answer with the class only.",
        layout="{question}\n{sentence}",
        words={"yes": "entailment", "no": "not_entailment"},
        metrics=BINARY,
    ),
    "sst2": Rule(
        ask="Sort the sentence into the classes negative and positive. Answer with the "
        "class only.",
        layout="{sentence}",
        words={"negative": "negative", "positive": "positive"},
        metrics=BINARY,
    ),
    "mrpc": Rule(
        ask="Sort the pair of sentences into the classes not_equivalent and equivalent. "
        "Answer with the class only.",
        layout="{sentence1}\n{sentence2}",
        words={"no": "not_equivalent", "yes": "equivalent"},
        metrics=BINARY,
    ),
    "rte": Rule(
        ask="Sort the pair of sentences into the classes entailment and not_entailment. "
        "Answer with the class only.",
        layout="{sentence1}\n{sentence2}",
        words={"yes": "entailment", "no": "not_entailment"},
        metrics=BINARY,
    ),
    "cola": Rule(
        ask="Sort the sentence into the classes unacceptable and acceptable. Answer with "
        "the class only.",
        layout="{sentence}",
        words={"no": "unacceptable", "yes": "acceptable"},
        metrics=BINARY,
    ),
    "cb": Rule(
        ask="Say how the premise and the hypothesis relate: entailment, contradiction or "
        "neutral. Answer with the class only.",
        layout="{premise}\n{hypothesis}",
        words={"yes": "entailment", "no": "contradiction", "maybe": "neutral"},
        metrics=MANY,
    ),
    "boolq": Rule(
        ask="Answer the question with true or false, going by the passage. Answer with "
        "true or false only.",
        layout="{question}\n{passage}",
        words=_TRUTH,
        metrics=BINARY,
    ),
    "multirc": Rule(
        ask="Going by the paragraph, say whether the answer answers the question. Answer "
        "with true or false only.",
        layout="Paragraph: {paragraph}\n\nQuestion: {question}\n\nAnswer: {answer}",
        words=_TRUTH,
        metrics=BINARY,
    ),
    "wic": Rule(
        ask="Say whether the word has the same meaning in both sentences. Answer with true "
        "or false only.",
        layout="Sentence1: {sentence1}\n\nSentence2: {sentence2}\n\nWord: {word}",
        words=_TRUTH,
        metrics=BINARY,
    ),
    "wsc": Rule(
        ask="Say whether the pronoun between * * stands for the noun between # #. Answer "
        "with true or false only.",
        layout=wsc_layout,
        words=_TRUTH,
        metrics=BINARY,
    ),
}
