"""What becomes of rows that stand for several training examples, and of further test sets."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from peftbench import tasks
from peftbench.errors import DataError
from peftbench.tasks import Example, Row, Split, Task
from peftbench.tasks._data import TaskData, task_data
from peftbench.tasks._sources import FolderSource, SplitRows


class Rows:
    """A source of forty passages with two questions each, and no validation split."""

    description = "rows"
    identity = "rows"
    splits: Sequence[Split] = ("train", "test")

    def read(self, split: Split) -> SplitRows:
        return SplitRows(
            rows=[
                {"passage": f"{split} {i // 2}", "question": i, "answers": ["a", "b", "c"]}
                for i in range(80)
            ],
            origin=split,
        )

    def read_further(self, test: str) -> SplitRows | None:
        return self.read("test") if test == "there" else None


def to_example(row: Row) -> Example:
    return Example(
        prompt=f"{row['passage']}: {row['question']}",
        completion=row["answers"][0],
        target=row["answers"][0],
        group=row["passage"],
        references=tuple(row["answers"]),
    )


def expand(example: Example) -> list[Example]:
    return [replace(example, completion=text) for text in example.references]


TASK = Task(
    description="",
    hub_id="a/b",
    splits={"train": "train", "test": "test"},
    further_tests={"there": "x", "absent": "y"},
    license="",
    fields=("passage",),
    to_example=to_example,
    expand=expand,
    read_answer=str.strip,
    metrics=("accuracy",),
)


def loaded(task: Task = TASK, **limits: int) -> TaskData:
    return task_data("made_up", task, Rows(), limits)  # type: ignore[arg-type]


def test_only_training_rows_are_expanded_and_only_after_the_cut() -> None:
    data = loaded()
    assert len(data.examples["validation"]) == 8
    assert len(data.examples["train"]) == 72 * 3
    assert len(data.examples["test"]) == 80
    assert {example.completion for example in data.examples["validation"]} == {"a"}
    assert data.shared_groups["train/validation"] == 0
    prompts = [example.prompt for example in data.examples["train"]]
    assert prompts.count(prompts[0]) == 3
    assert data.duplicate_prompts["train/validation"] == 0


def test_a_limit_counts_training_examples_after_the_expansion() -> None:
    data = loaded(train=10)
    assert len(data.examples["train"]) == 10
    assert data.rows_before_limits["train"] == 216


def test_an_expansion_that_cannot_be_trained_on_is_refused() -> None:
    empty = replace(TASK, expand=lambda example: [replace(example, completion=" ")])
    with pytest.raises(DataError, match="the completion is empty"):
        loaded(empty)


def test_further_tests_are_read_where_there_are_rows_for_them() -> None:
    data = loaded(test=5)
    assert list(data.further_tests) == ["there"]
    assert len(data.further_tests["there"]) == 5


def test_a_folder_may_hold_further_tests_and_they_are_part_of_its_identity(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "made_up"
    folder.mkdir()
    for split in tasks.SPLITS:
        (folder / f"{split}.jsonl").write_text(json.dumps({"passage": "p"}), "utf-8")
    without = FolderSource.find("made_up", tmp_path, ["there"])
    assert without.read_further("there") is None
    (folder / "test_there.jsonl").write_text(json.dumps({"passage": "q"}), "utf-8")
    found = FolderSource.find("made_up", tmp_path, ["there"])
    rows = found.read_further("there")
    assert rows is not None
    assert rows.rows == [{"passage": "q"}]
    assert found.identity != without.identity
    (folder / "test_there.jsonl.gz").write_bytes(b"")
    with pytest.raises(DataError, match="which of them is the test_there split"):
        FolderSource.find("made_up", tmp_path, ["there"])


def test_an_output_that_repeats_a_choice_is_its_label() -> None:
    task = replace(TASK, labels=("A", "B"), read_answer=lambda raw: None)
    extra = {"choices": ["an iron nail", "A paper cup."]}
    assert task.read(" An  iron nail.\n", extra) == "A"
    assert task.read("a paper cup", extra) == "B"
    assert task.read("a cup", extra) is None
    assert task.read("an iron nail", {"choices": ["an iron nail", "An iron nail."]}) is None
    assert task.read("an iron nail") is None
