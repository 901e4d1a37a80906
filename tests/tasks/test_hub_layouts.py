"""Every real task from a folder that is laid out as its hub repository at the pinned commit.

Rows are made of the task's own example row, with the columns and types of the hub.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from peftbench import tasks
from peftbench.tasks import Row, Task
from peftbench.tasks._data import task_data
from peftbench.tasks._sources import HubSource

ROWS = 12

#: Where a split's rows are in the repository; `{config}/...` where nothing is said.
FILES = {
    "hellaswag": "data/{split}-00000-of-00001.parquet",
    "svamp": "data/{split}-00000-of-00001.parquet",
    "siqa": "data/{split}-00000-of-00001.parquet",
    "piqa": "piqa_{split}.parquet",
    "math_qa": "default/{split}/0000.parquet",  # of the conversion to Parquet
}
#: Labels that the hub keeps as whole numbers with names.
NAMES = {
    "mnli": ("entailment", "neutral", "contradiction"),
    "cb": ("entailment", "contradiction", "neutral"),
    "rte": ("entailment", "not_entailment"),
    "qnli": ("entailment", "not_entailment"),
    "sst2": ("negative", "positive"),
    "cola": ("unacceptable", "acceptable"),
    "qqp": ("not_duplicate", "duplicate"),
    "mrpc": ("not_equivalent", "equivalent"),
    "copa": ("choice1", "choice2"),
    "boolq": ("False", "True"),
    "wic": ("False", "True"),
    "wsc": ("False", "True"),
    "multirc": ("False", "True"),
    "mmlu": ("A", "B", "C", "D"),
}
#: Fields of labels and keys, which no number is put behind.
KEYS = {"label", "answerKey", "correct", "Answer", "span1_text", "span2_text"}
KEYS_OF = {
    "copa": {"question"},
    "winogrande": {"answer"},
    "conala": {"snippet"},
    "codealpacapy": {"response"},
    "apps": {"solutions", "input_output", "starter_code"},
}


REAL = [
    name
    for name in tasks.names()
    if not tasks.get(name).is_generated and tasks.get(name).sizes
]


def varied(name: str, row: Row, number: int) -> dict[str, Any]:
    """The row with a number behind its texts, so that no two are of one group."""
    own = {field: number for field in ("question_id", "problem_id") if field in row}
    kept = KEYS | KEYS_OF.get(name, set())
    return {
        field: f"{value} {number}"
        if isinstance(value, str) and field not in kept
        else value
        for field, value in {**row, **own}.items()
    }


def features(name: str, task: Task, content: list[dict[str, Any]]) -> Any:
    import datasets

    found = datasets.Dataset.from_list(content).features
    field = "answer" if name == "mmlu" else "label"
    if name in NAMES:
        found[field] = datasets.ClassLabel(names=list(NAMES[name]))
    if name == "stsb":
        found[field] = datasets.Value("float32")
    return found


def repository(folder: Path, name: str, task: Task) -> Path:
    """Write a repository with every split that the task reads."""
    import datasets

    config = task.subset or "default"
    content = [varied(name, task.example_row, i) for i in range(ROWS)]
    made = datasets.Dataset.from_list(content, features=features(name, task, content))
    listed = []
    for split in dict.fromkeys((*task.splits.values(), *task.further_tests.values())):
        pattern = FILES.get(name, "{config}/{split}-00000-of-00001.parquet")
        pattern = task.files.get(split, pattern).replace("*", "0000")
        path = folder / pattern.format(config=config, split=split)
        path.parent.mkdir(parents=True, exist_ok=True)
        (made.to_parquet if path.suffix == ".parquet" else made.to_json)(path)
        listed.append(f"  - {{split: {split}, path: {path.relative_to(folder)}}}")
    (folder / "dataset.py").write_text("raise SystemExit('a script was run')", "utf-8")
    if name not in FILES:
        card = [
            "---",
            "configs:",
            f"- config_name: {config}",
            "  data_files:",
            *listed,
            "---",
        ]
        (folder / "README.md").write_text("\n".join(card), "utf-8")
    return folder


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize("name", REAL)
def test_task_is_read_from_its_hub_layout(name: str, tmp_path: Path) -> None:
    task = tasks.get(name)
    folder = repository(tmp_path / "repository", name, task)
    there = replace(task, hub_id=str(folder))
    data = task_data(name, there, HubSource(there), {})
    made = [task.to_example(varied(name, task.example_row, i)) for i in range(ROWS)]
    assert list(data.examples["test"]) == made
    assert set(data.further_tests) == set(task.further_tests)
    if "validation" not in task.splits:
        cut: Mapping[str, Any] = data.examples
        assert len(cut["validation"]) == 1
        assert data.shared_groups["train/validation"] == 0
