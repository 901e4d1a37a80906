"""The real tasks on real rows; skipped where the shared data pack is not to be had."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from peftbench import tasks
from peftbench.tasks._data import TaskData, data_identity, load_task_data

#: Premises that stand in two splits: the pack keeps pairs apart in RTE, not premises.
KNOWN_SHARED_GROUPS = {
    "rte": {"train/validation": 18, "train/test": 22, "validation/test": 3}
}
NONE_SHARED = {"train/validation": 0, "train/test": 0, "validation/test": 0}

NAMES = ("boolq", "copa", "gsm8k", "mnli", "openbookqa", "rte", "sst2", "stsb", "svamp")


@pytest.fixture(scope="module", params=NAMES)
def data(request: pytest.FixtureRequest, shared_dir: Path) -> TaskData:
    return load_task_data(request.param, data_dir=shared_dir / "data", limits={})


def test_every_row_becomes_an_example(data: TaskData, shared_dir: Path) -> None:
    schema = json.loads((shared_dir / "data" / "schema.json").read_text("utf-8"))
    expected = schema[data.name]["rows"]
    assert {split: len(data.examples[split]) for split in tasks.SPLITS} == expected
    assert dict(data.rows_before_limits) == expected


def test_every_completion_reads_back_to_its_target(data: TaskData) -> None:
    for examples in data.examples.values():
        for example in examples:
            assert data.task.read_answer(example.completion) == example.target


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
