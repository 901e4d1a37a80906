"""The protocol peft-bench: the published words, splits, layouts and readings."""

from __future__ import annotations

import pytest

from peftbench import tasks
from peftbench.errors import InvalidSpec
from peftbench.tasks import peft_bench
from peftbench.tasks.peft_bench._equation import evaluate, read_equation
from peftbench.tasks.peft_bench.labels import wsc_layout

#: Label words in published order (table 4 of arXiv:2511.21285 and its scorer): of two, the
#: second is the positive class.
WORDS = {
    "mnli": ("entailment", "neutral", "contradiction"),
    "qqp": ("not_duplicate", "duplicate"),
    "qnli": ("entailment", "not_entailment"),
    "sst2": ("negative", "positive"),
    "mrpc": ("not_equivalent", "equivalent"),
    "rte": ("entailment", "not_entailment"),
    "cola": ("unacceptable", "acceptable"),
    "multirc": ("False", "True"),
    "boolq": ("False", "True"),
    "wic": ("False", "True"),
    "wsc": ("False", "True"),
    "cb": ("entailment", "contradiction", "neutral"),
    "copa": ("choice1", "choice2"),
    "mmlu": ("A", "B", "C", "D"),
    "piqa": ("solution1", "solution2"),
    "siqa": ("A", "B", "C"),
    "hellaswag": ("ending1", "ending2", "ending3", "ending4"),
    "winogrande": ("option1", "option2"),
    "openbookqa": ("A", "B", "C", "D"),
    "math_qa": ("a", "b", "c", "d", "e"),
}
HEADLINES = {
    **{name: "peft_bench_f1" for name, words in WORDS.items() if len(words) == 2},
    **{name: "peft_bench_macro_f1" for name, words in WORDS.items() if len(words) > 2},
    **dict.fromkeys(("conala", "codealpacapy", "apps"), "peft_bench_codebleu"),
    "stsb": "peft_bench_pearson",
    "record": "peft_bench_record_f1",
    "gsm8k": "peft_bench_gsm8k",
    "svamp": "peft_bench_svamp",
}


@pytest.fixture(params=peft_bench.names())
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_labels_are_the_published_words_in_the_published_order() -> None:
    found = {
        name: task.labels
        for name in peft_bench.names()
        if (task := tasks.get(name, "peft-bench")).labels
    }
    assert found == WORDS


@pytest.mark.parametrize("name", HEADLINES)
def test_the_headline_is_chosen_as_published(name: str) -> None:
    assert tasks.get(name, "peft-bench").headline == HEADLINES[name]


def test_every_strict_label_has_one_published_word(name: str) -> None:
    strict, words = tasks.get(name), peft_bench.rule(name).words
    assert set(words) == set(strict.labels)
    assert len(set(words.values())) == len(words)


def test_the_example_row_is_asked_and_answered(name: str) -> None:
    task = tasks.get(name, "peft-bench")
    row = {"question_concat": "How many?", "Equation": "( 9.0 - 2.0 )"}
    example = task.to_example({**row, **tasks.get(name).example_row})
    ask, _, rest = example.prompt.partition("\n")
    assert ask == peft_bench.rule(name).ask
    assert rest
    assert task.read_answer(example.completion) == example.target
    assert example.group == tasks.get(name).to_example(tasks.get(name).example_row).group


def test_words_are_read_whole_in_any_case_after_the_thoughts() -> None:
    read = tasks.get("rte", "peft-bench").read_answer
    assert read("<think>\nentailment?\n</think>\n\nNot_Entailment ") == "not_entailment"
    assert read("entailment") == "entailment"
    for wrong in ("entailment.", "The answer is entailment", "yes", "", "0"):
        assert read(wrong) is None


def test_fields_have_no_names_and_case_is_kept_in_prompts() -> None:
    example = tasks.get("rte", "peft-bench").to_example(
        {"sentence1": "A Boat sank. ", "sentence2": "Something {sank}.", "label": 1}
    )
    assert example.prompt.endswith("\nA Boat sank. \nSomething {sank}.")
    assert example.target == example.completion == "not_entailment"


def test_copa_is_asked_without_its_question() -> None:
    task = tasks.get("copa", "peft-bench")
    row = {"premise": "P", "choice1": "X", "choice2": "Y", "question": "cause", "label": 1}
    cause, effect = (task.to_example(row | {"question": q}) for q in ("cause", "effect"))
    assert cause.prompt == effect.prompt
    assert cause.target == "choice2"


def test_every_task_of_the_publication_is_covered() -> None:
    from peftbench import published

    covered = set(peft_bench.names())
    assert covered == set(published.read("peft-bench-v1").tasks)


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("mnli", "validation_mismatched"), ("mmlu", "validation"), ("openbookqa", "validation"),
        ("rte", "validation"), ("gsm8k", "test"), ("svamp", "test"),
    ],
)  # fmt: skip
def test_the_test_split_is_the_published_one_and_nothing_validates_on_it(
    name: str, split: str
) -> None:
    task = tasks.get(name, "peft-bench")
    assert task.splits["test"] == split
    assert "validation" not in task.splits
    assert not task.further_tests


def test_wsc_stars_the_noun_and_hashes_the_pronoun_against_its_instruction() -> None:
    row = {
        "text": "Mia thanked Ada because she had helped.", "label": 1,
        "span1_text": "Ada", "span1_index": 2, "span2_text": "she", "span2_index": 4,
    }  # fmt: skip
    example = tasks.get("wsc", "peft-bench").to_example(row)
    assert example.prompt.endswith("Mia thanked * Ada * because # she # had helped.")
    unmarked = wsc_layout({**row, "span1_text": "Ada (her"})
    assert unmarked == row["text"]  # a parenthesis that never closes; indices then miss


def test_winogrande_has_two_first_options_and_trains_without_an_instruction() -> None:
    task = tasks.get("winogrande", "peft-bench")
    example = task.to_example(tasks.get("winogrande").example_row)
    assert example.prompt.count("Option1:") == 2
    assert task.expand is not None
    (trained,) = task.expand(example)
    assert trained.prompt.startswith("Sentence: ")
    assert example.prompt.endswith(trained.prompt)


def test_hellaswag_loses_capitals_and_gains_a_comma() -> None:
    row = {**tasks.get("hellaswag").example_row, "ctx_b": "he greets the DIY man"}
    prompt = tasks.get("hellaswag", "peft-bench").to_example(row).prompt
    assert "He greets the diy man,\n\nEnding1: " in prompt


def test_conala_without_a_rewritten_intent_asks_nothing() -> None:
    row = {**tasks.get("conala").example_row, "rewritten_intent": None}
    prompt = tasks.get("conala", "peft-bench").to_example(row).prompt
    assert prompt == peft_bench.rule("conala").ask + "\n"


def test_apps_loses_its_starter_code_and_keeps_every_solution() -> None:
    task = tasks.get("apps", "peft-bench")
    row = {
        **tasks.get("apps").example_row,
        "starter_code": "def START():",
        "solutions": '["a = 1", "b = (", "c", "d", "e"]',
    }
    example = task.to_example(row)
    assert "START" not in example.prompt
    assert example.references == ("a = 1", "b = (", "c", "d", "e")
    assert task.unusable is not None
    assert task.unusable(example, "test") is None
    assert task.unusable(task.to_example({**row, "solutions": ""}), "test") is not None


def test_code_is_read_whole_and_lower_cased() -> None:
    read = tasks.get("conala", "peft-bench").read_answer
    assert read("Here:\n```python\nX = 1\n```") == "here:\n```python\nx = 1\n```"


def test_record_trains_on_every_answer_and_is_scored_once_a_query() -> None:
    task = tasks.get("record", "peft-bench")
    example = task.to_example(tasks.get("record").example_row)
    assert example.references == ("Lena Falk", "Falk")
    assert "Passage: Lena Falk won the race in Oslo. Falk is 21" in example.prompt
    assert task.expand is not None
    assert [one.completion for one in task.expand(example)] == ["Lena Falk", "Falk"]


def test_stsb_keeps_the_noise_of_single_precision() -> None:
    task = tasks.get("stsb", "peft-bench")
    row = {"sentence1": "A", "sentence2": "B", "label": 3.799999952316284}
    assert task.to_example(row).completion == "3.799999952316284"
    assert task.read_answer("nan") is None
    assert task.read_answer("38") == "38"


def test_gsm8k_reads_after_the_last_marker_and_nothing_but_a_number() -> None:
    read = tasks.get("gsm8k", "peft-bench").read_answer
    assert read("#### 7\n#### 1,200%") == "1200"
    assert [read(t) for t in ("#### $18", "#### 18 dollars", "18", "####")] == [None] * 4


def test_svamp_reads_one_equation_and_nothing_else() -> None:
    read = tasks.get("svamp", "peft-bench").read_answer
    assert read("(1 + 1) = 2") == "(1 + 1) = 2"
    for wrong in ("1 + 1 = 2", "(1 + 1) = two", "(1) + (1) = 2", "(1 + x) = 2", "(1)=1=1"):
        assert read(wrong) is None


def test_a_task_that_peft_bench_lacks_is_refused_with_those_it_has() -> None:
    with pytest.raises(InvalidSpec, match=r"does not cover the task 'generated_mood'.*rte"):
        tasks.get("generated_mood", "peft-bench")


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("1 + 2 * 3", 7.0), ("-(2 - 5) / 2", 1.5), ("7 // 2 + 7 % 4", 6.0), ("1_000", 1000.0),
        ("1 / 0", None), ("2 ** 9", None), ("True", None), ("f(1)", None), ("'a' * 3", None),
        ("[1][0]", None), ("1 if 1 else 2", None), ("9" * 5000, None), ("", None),
        ("__import__('os').system('true')", None), ("-" * 100_000 + "1", None),
        ("(" * 1000 + "1" + ")" * 1000, None), ("1e400 * 0", None), ("1\n+1", None),
    ],
)  # fmt: skip
def test_only_arithmetic_is_evaluated(expression: str, value: float | None) -> None:
    found = evaluate(expression)
    assert found == value or (found is not None and found != found)


def test_an_infinite_side_is_no_error() -> None:
    equation = read_equation(f"(1 + 1) = {'9' * 400}")
    assert equation is not None
    assert not equation.is_consistent
    assert equation.is_written_as(equation)
