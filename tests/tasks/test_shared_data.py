"""The real tasks on real rows; skipped where the shared data pack is not to be had."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from peftbench import tasks
from peftbench.tasks._data import TaskData, data_identity, load_task_data

NONE_SHARED = {"train/validation": 0, "train/test": 0, "validation/test": 0}
#: Groups that stand in two splits of the pack, which was cut by narrower ones: pairs in RTE
#: and WiC, contexts in HellaSwag, twins in WinoGrande, questions with their choices in
#: MMLU; and rows that differ in nothing but punctuation.
KNOWN_SHARED_GROUPS = {
    "rte": {"train/validation": 19, "train/test": 23, "validation/test": 3},
    "sst2": NONE_SHARED | {"train/validation": 4},
    "mrpc": NONE_SHARED | {"train/test": 1},
    "math_qa": NONE_SHARED | {"train/validation": 1},
    "wic": NONE_SHARED | {"train/validation": 1},
    "hellaswag": NONE_SHARED | {"train/validation": 17},
    "winogrande": {"train/validation": 23, "train/test": 87, "validation/test": 17},
    "mmlu": NONE_SHARED | {"train/validation": 1, "train/test": 1},
}

NAMES = (
    "mnli", "qqp", "qnli", "sst2", "stsb", "mrpc", "rte", "cola", "multirc", "record",
    "boolq", "wic", "wsc", "cb", "copa", "mmlu", "piqa", "siqa", "hellaswag", "winogrande",
    "openbookqa", "math_qa", "gsm8k", "svamp", "conala", "codealpacapy", "apps",
)  # fmt: skip


@pytest.fixture(scope="module", params=NAMES)
def data(request: pytest.FixtureRequest, shared_dir: Path) -> TaskData:
    return load_task_data(request.param, data_dir=shared_dir / "data", limits={})


def test_every_row_becomes_an_example(data: TaskData, shared_dir: Path) -> None:
    schema = json.loads((shared_dir / "data" / "schema.json").read_text("utf-8"))
    expected = dict(schema[data.name]["rows"])
    if data.name == "record":  # 26 queries, with 35 answers
        expected["train"] = 35
    if data.name == "apps":  # 3 problems, with 9 of their solutions
        expected["train"] = 9
    assert {split: len(data.examples[split]) for split in tasks.SPLITS} == expected
    assert dict(data.rows_before_limits) == expected


def test_every_completion_reads_back_to_its_target(data: TaskData) -> None:
    for examples in data.examples.values():
        for example in examples:
            assert data.task.read_answer(example.completion) == example.target


def test_every_right_choice_reads_as_its_letter_also_behind_it(data: TaskData) -> None:
    """But where two choices are the same text, which only MathQA and MMLU have."""
    for examples in data.examples.values():
        for example in examples:
            choices = example.extra.get("choices", [])
            if not choices or len(set(map(str.casefold, choices))) < len(choices):
                continue
            right = choices[data.task.labels.index(example.target)]
            for raw in (f"{example.target}: {right}", f"({example.target}) {right}."):
                assert data.task.read(raw, example.extra) == example.target


def test_every_prompt_ends_ready_for_its_answer(data: TaskData) -> None:
    for examples in data.examples.values():
        for example in examples:
            assert example.prompt.endswith("\nAnswer:")
            assert example.completion == example.completion.strip()


def test_every_label_is_used(data: TaskData) -> None:
    for examples in data.examples.values():
        if data.task.labels:
            assert {example.target for example in examples} == set(data.task.labels)


def test_no_group_stands_in_two_splits(data: TaskData) -> None:
    assert data.shared_groups == KNOWN_SHARED_GROUPS.get(data.name, NONE_SHARED)


def test_no_prompt_stands_in_two_splits(data: TaskData) -> None:
    assert data.duplicate_prompts == NONE_SHARED


def test_identity_is_the_same_without_reading_rows(
    data: TaskData, shared_dir: Path
) -> None:
    assert data.source == "folder"
    assert data.identity == data_identity(data.name, data_dir=shared_dir / "data")
