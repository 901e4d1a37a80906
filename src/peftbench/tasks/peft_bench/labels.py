"""Rules of the tasks that sort a text or a pair of texts into named classes."""

from __future__ import annotations

from collections.abc import Mapping

from peftbench.tasks.peft_bench._rule import Rule

BINARY = ("peft_bench_f1", "peft_bench_em")
MANY = ("peft_bench_macro_f1", "peft_bench_em")

_TRUTH = {"no": "False", "yes": "True"}

RULES: Mapping[str, Rule] = {
    "mnli": Rule(
        ask="Say how the premise and the hypothesis relate: entailment, neutral or "
        "contradiction. Answer with the class only.",
        layout="{premise}\n{hypothesis}",
        words={"yes": "entailment", "maybe": "neutral", "no": "contradiction"},
        splits={"test": "validation_mismatched"},
        metrics=MANY,
    ),
    "sst2": Rule(
        ask="Sort the sentence into the classes negative and positive. Answer with the "
        "class only.",
        layout="{sentence}",
        words={"negative": "negative", "positive": "positive"},
        metrics=BINARY,
    ),
    "rte": Rule(
        ask="Sort the pair of sentences into the classes entailment and not_entailment. "
        "Answer with the class only.",
        layout="{sentence1}\n{sentence2}",
        words={"yes": "entailment", "no": "not_entailment"},
        metrics=BINARY,
    ),
    "boolq": Rule(
        ask="Answer the question with true or false, going by the passage. Answer with "
        "true or false only.",
        layout="{question}\n{passage}",
        words=_TRUTH,
        metrics=BINARY,
    ),
}
