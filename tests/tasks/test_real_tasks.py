"""Every task whose rows come from the world: its prompts, answers and pins.

The golden files hold what each task made of its row at a version. After a change on purpose
raise the task's version and refresh them with

    PEFTBENCH_UPDATE_GOLDEN=1 pytest tests/tasks/test_real_tasks.py
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from peftbench import tasks
from peftbench.errors import DataError
from peftbench.tasks import Example, Row, Task

REAL = [name for name in tasks.names() if not tasks.get(name).is_generated]
GOLDEN = Path(__file__).parent / "golden"
REFRESH = "PEFTBENCH_UPDATE_GOLDEN=1 pytest tests/tasks/test_real_tasks.py"


@pytest.fixture(params=REAL)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def task(name: str) -> Task:
    return tasks.get(name)


def example_of(name: str, **changed: object) -> Example:
    """The example row of a task, with some fields changed, as an example."""
    task = tasks.get(name)
    return task.to_example({**task.example_row, **changed})


def test_the_real_tasks_are_there() -> None:
    expected = """mnli qqp qnli sst2 stsb mrpc rte cola multirc record boolq wic wsc cb copa
    mmlu piqa siqa hellaswag winogrande openbookqa math_qa gsm8k svamp conala
    codealpacapy apps"""
    assert set(REAL) >= set(expected.split())


def test_sizes_name_every_split_that_is_read(task: Task) -> None:
    named = {*task.splits.values(), *task.further_tests.values()}
    assert {split.partition("[")[0] for split in named} <= set(task.sizes)
    assert all(rows > 0 for rows in task.sizes.values())


def test_example_row_has_exactly_the_declared_fields(task: Task) -> None:
    assert set(task.example_row) == set(task.fields)
    assert len(task.fields) == len(set(task.fields))


def test_revision_is_a_full_commit_of_a_dataset_with_an_owner(task: Task) -> None:
    assert re.fullmatch(r"[0-9a-f]{40}", task.revision or "")
    assert re.fullmatch(r"[\w.-]+/[\w.-]+", task.hub_id or "")


def test_splits_name_training_and_test_rows_that_differ(task: Task) -> None:
    assert {"train", "test"} <= set(task.splits) <= set(tasks.SPLITS)
    assert len(set(task.splits.values())) == len(task.splits)


def test_labels_are_distinct_to_the_reader_and_each_is_read(task: Task) -> None:
    assert len({label.strip().casefold() for label in task.labels}) == len(task.labels)
    for label in task.labels:
        assert task.read_answer(f" {label}\n") == label


def test_headline_suits_the_kind_of_answer(name: str, task: Task) -> None:
    if task.labels:
        # Two benchmarks of old have a headline of their own, by which constants are worth 0.
        own = {"cola": "matthews", "multirc": "f1a"}
        assert task.headline == own.get(name, "accuracy")
        assert "accuracy" in task.metrics
        assert set(task.metrics) & {"f1", "macro_f1", "matthews", "f1a"}
    else:
        assert task.headline in {
            "pearson",
            "numeric_match",
            "token_f1",
            "chrf",
            "pass_at_1",
        }
    assert "format_error_rate" not in task.metrics, "it is always computed"


def test_completion_reads_back_to_its_target(task: Task) -> None:
    example = task.to_example(task.example_row)
    assert task.read_answer(example.completion) == example.target
    assert not task.labels or example.target in task.labels


def test_prompt_and_completion_join_with_one_blank(task: Task) -> None:
    example = task.to_example(task.example_row)
    assert example.prompt.endswith("\nAnswer:")
    assert example.prompt == example.prompt.strip()
    assert example.completion == example.completion.strip() != ""


def test_prompt_names_its_fields_and_says_how_to_answer(task: Task) -> None:
    lines = task.to_example(task.example_row).prompt.splitlines()
    assert re.match(r"[A-Z][a-z]+( \d)?: ", lines[0])
    assert any(line.startswith("Question: ") for line in lines)
    assert len(lines) >= 3


def test_every_text_of_the_row_reaches_the_model(name: str, task: Task) -> None:
    """No field is dropped on the way, as COPA's question once was."""
    example = task.to_example(task.example_row)
    seen = _words(f"{example.prompt} {example.completion}")
    for field, value in task.example_row.items():
        for text in _texts(value) if field not in KEYS.get(name, ()) else ():
            assert _words(re.sub(r"<<[^<>]*>>", "", text).removesuffix(".0")) <= seen


#: Fields that are numbers of choices or of sources, and letters of `a ) 1 , b ) 2`.
KEYS = {
    "siqa": {"label"},
    "hellaswag": {"label", "source_id"},
    "winogrande": {"answer"},
    "math_qa": {"correct"},
    "conala": {"intent"},  # where there is a rewritten one
    "apps": {"solutions", "input_output", "difficulty"},
}


def _words(text: str) -> set[str]:
    return set(re.findall(r"[^\W_]+", text)) - {*"abcde", "highlight"}


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    return [text for part in value for text in _texts(part)] if type(value) is list else []


def test_docstring_shows_the_row_that_is_tested(name: str, task: Task) -> None:
    document = " ".join((tasks.CATALOGUE.module(name).__doc__ or "").split())
    assert "arXiv:" in document or "aclanthology.org" in document or "Symposium" in document
    for text in _texts(task.example_row):
        assert " ".join(text.replace("\n", "\\n").split()) in document
    for line in task.to_example(task.example_row).prompt.splitlines():
        assert line in document


@pytest.mark.parametrize(
    "name", [name for name in REAL if "label" in tasks.get(name).fields]
)
def test_label_of_a_hidden_test_split_is_refused(name: str) -> None:
    with pytest.raises(DataError, match="-1"):
        example_of(name, label=-1)


def test_prompt_completion_and_target_are_those_of_the_version(
    name: str, task: Task
) -> None:
    updating = os.environ.get("PEFTBENCH_UPDATE_GOLDEN") == "1"
    check_golden(GOLDEN / f"{name}.json", task, updating=updating)


def check_golden(path: Path, task: Task, *, updating: bool) -> None:
    """Compare a task with its golden file; `updating` writes it, but not over a change
    that the version does not tell."""
    if path.exists():
        kept = json.loads(path.read_text("utf-8"))
        now = _golden(task, kept["row"])
        if now["version"] == kept["version"]:
            assert now == kept, f"{path.stem} has changed: raise the task's version"
    current = _golden(task, task.example_row)
    if updating:
        path.write_text(json.dumps(current, indent=1, ensure_ascii=False) + "\n", "utf-8")
    assert path.exists(), f"{path.stem} has no golden file; make it with `{REFRESH}`"
    kept = json.loads(path.read_text("utf-8"))
    assert kept == current, f"{path.name} is out of date; refresh it with `{REFRESH}`"


def test_golden_files_tell_a_change_without_a_new_version(tmp_path: Path) -> None:
    path = tmp_path / "sst2.json"
    task = tasks.get("sst2")
    with pytest.raises(AssertionError, match="has no golden file"):
        check_golden(path, task, updating=False)
    check_golden(path, task, updating=True)

    def shout(row: Row) -> Example:
        example = task.to_example(row)
        return replace(example, prompt=example.prompt.upper())

    changed = replace(task, to_example=shout)
    for updating in (False, True):
        with pytest.raises(AssertionError, match="raise the task's version"):
            check_golden(path, changed, updating=updating)
    raised = replace(changed, version=task.version + 1)
    with pytest.raises(AssertionError, match="is out of date"):
        check_golden(path, raised, updating=False)
    check_golden(path, raised, updating=True)
    check_golden(path, raised, updating=False)


def _golden(task: Task, row: Row) -> dict[str, Any]:
    example = task.to_example(row)
    return {
        "version": task.version,
        "row": dict(row),
        "prompt": example.prompt,
        "completion": example.completion,
        "target": example.target,
        "labels": list(task.labels),
        "metrics": list(task.metrics),
    }


# What published conversions of these tasks got wrong.


def test_copa_asks_for_the_cause_or_the_effect() -> None:
    """Without it, premise and choices do not say which choice is right."""
    cause, effect = (example_of("copa", question=asked) for asked in ("cause", "effect"))
    assert "likely cause" in cause.prompt
    assert "likely effect" in effect.prompt
    with pytest.raises(DataError, match="allowed: 'cause'"):
        example_of("copa", question="")


def test_copa_letters_stand_beside_their_own_choices() -> None:
    for label, letter in ((0, "A"), (1, "B")):
        example = example_of("copa", label=label)
        right = tasks.get("copa").example_row[f"choice{label + 1}"]
        assert f"\n{letter}: {right}\n" in example.prompt
        assert example.completion == letter


@pytest.mark.parametrize(
    ("label", "target"),
    [
        (3.799999952316284, "3.8"),
        (3.8, "3.8"),
        (5.0, "5.0"),
        (5, "5.0"),
        (0.0, "0.0"),
        (0.44999998807907104, "0.5"),  # 0.45 in single precision
        (0.45, "0.5"),
        (2.25, "2.3"),
        (4.778, "4.8"),
    ],
)
def test_stsb_score_is_written_as_people_write_it(label: float, target: str) -> None:
    example = example_of("stsb", label=label)
    assert example.completion == example.target == target


@pytest.mark.parametrize("label", [-1.0, 5.1, float("nan"), None, "high"])
def test_stsb_score_must_be_from_0_to_5(label: object) -> None:
    with pytest.raises(DataError, match="'label' must be"):
        example_of("stsb", label=label)


def test_stsb_answer_that_is_no_score_is_unreadable_not_a_number() -> None:
    read = tasks.get("stsb").read_answer
    assert [read(raw) for raw in ("-1.0", "5.1", "38", "similar", "")] == [None] * 5


@pytest.mark.parametrize(
    ("name", "labels"),
    [("rte", {0: "yes", 1: "no"}), ("mnli", {0: "yes", 1: "maybe", 2: "no"}),
     ("boolq", {0: "no", 1: "yes"}), ("sst2", {0: "negative", 1: "positive"})],
)  # fmt: skip
def test_each_hub_label_gets_its_own_word(name: str, labels: dict[int, str]) -> None:
    assert {label: example_of(name, label=label).target for label in labels} == labels


@pytest.mark.parametrize("name", ["sst2", "rte", "boolq"])
def test_f1_is_that_of_the_class_people_mean(name: str) -> None:
    """The positive class is the second label; for RTE not the hub's `not_entailment`."""
    assert tasks.get(name).labels[1] in ("yes", "positive")


def test_mnli_is_tested_on_the_matched_split() -> None:
    assert tasks.get("mnli").splits["test"] == "validation_matched"


def test_boolq_question_comes_last_and_has_one_question_mark() -> None:
    for question in ("is it so", "is it so?"):
        prompt = example_of("boolq", question=question, passage="Text.").prompt
        assert "Passage: Text.\nQuestion: is it so?\n" in prompt


def test_openbookqa_key_is_looked_up_among_the_labels() -> None:
    """Not counted from the letter: the labels of a row may be others, or shuffled."""
    texts = ["a paper cup", "an iron nail", "a glass jar", "a wool sock"]
    for labels, key in ((["1", "2", "3", "4"], "2"), (["D", "C", "B", "A"], "C")):
        choices = {"text": texts, "label": labels}
        example = example_of("openbookqa", choices=choices, answerKey=key)
        assert example.completion == "B"
        assert "\nB: an iron nail\n" in example.prompt


@pytest.mark.parametrize(
    "changed",
    [
        {"answerKey": "E"},
        {"answerKey": ""},
        {"choices": {"text": ["a"], "label": ["A"]}},
        {"choices": {"text": list("abcd"), "label": list("AACD")}},
        {"choices": None},
        {"choices": ["a", "b", "c", "d"]},
    ],
)
def test_openbookqa_refuses_choices_without_an_answer(changed: dict[str, object]) -> None:
    with pytest.raises(DataError, match=r"'(answerKey|choices)'"):
        example_of("openbookqa", **changed)


def test_gsm8k_solution_holds_no_calculator_annotations() -> None:
    example = example_of(
        "gsm8k", answer="Half of 8 is <<8/2=4>>4.\n4*3=<<4*3=12>>12\n#### 12"
    )
    assert example.completion == "Half of 8 is 4.\n4*3=12\n#### 12"
    assert example.target == "12"


def test_gsm8k_answer_without_its_mark_is_unreadable() -> None:
    with pytest.raises(DataError, match="####"):
        example_of("gsm8k", answer="So she has 7.")
    assert tasks.get("gsm8k").read_answer("She has 3 + 4 =") is None


@pytest.mark.parametrize(
    ("answer", "target"),
    [("7.0", "7"), ("1891.0", "1891"), ("100", "100"), ("0.50", "0.5"), (3.0, "3")],
)
def test_svamp_answer_is_a_plain_number(answer: object, target: str) -> None:
    assert example_of("svamp", Answer=answer).target == target


def test_svamp_answer_is_the_rows_own_and_no_equation() -> None:
    read = tasks.get("svamp").read_answer
    assert read("( 9 - 2 ) = 7") is None
    assert read("(1 + 1) = 2") is None
    with pytest.raises(DataError, match="'Answer' must be a finite number"):
        example_of("svamp", Answer="( 9 - 2 )")
