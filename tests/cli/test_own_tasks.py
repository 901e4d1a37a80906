"""Tasks of a user's own on the command line: checked, run and reported."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from command_line import peftbench

pytestmark = pytest.mark.usefixtures("no_processes")

EXAMPLES = Path(__file__).parents[2] / "examples" / "own-task"


def test_check_task_shows_examples_and_findings(tmp_path: Path) -> None:
    said = peftbench("check-task", str(EXAMPLES / "reviews.yaml"), "--json", cwd=tmp_path)
    assert said.returncode == 0, said.stderr
    found = json.loads(said.stdout)
    assert found["is_valid"]
    assert found["name"] == "reviews"
    assert sum(split["rows"] for split in found["splits"].values()) == 40
    assert found["examples"][0]["prompt"].endswith("Answer:")
    assert (
        found["splits"]["train"]["tokens_max"] > found["splits"]["train"]["tokens_min"] > 0
    )


def test_check_task_fails_on_a_broken_file_and_names_every_line(tmp_path: Path) -> None:
    for name in ("reviews.yaml", "reviews.csv"):
        (tmp_path / name).write_text((EXAMPLES / name).read_text("utf-8"))
    with (tmp_path / "reviews.csv").open("a") as file:
        file.write("writer 00,Odd kind,x\nwriter 01,Too, many,c\nwriter 02,No kind,\n")
    said = peftbench("check-task", "reviews.yaml", cwd=tmp_path)
    assert said.returncode == 1, said.stderr
    for line, words in (
        (42, "'kind' is 'x'"),
        (43, "not as many values"),
        (44, "'kind' is ''"),
    ):
        assert f"reviews.csv:{line}" in said.stdout
        assert words in said.stdout
    assert said.stdout.count("invalidates scores") == 3


def test_check_task_names_a_metric_that_does_not_fit(tmp_path: Path) -> None:
    (tmp_path / "reviews.csv").write_text((EXAMPLES / "reviews.csv").read_text("utf-8"))
    described = (EXAMPLES / "reviews.yaml").read_text("utf-8")
    (tmp_path / "reviews.yaml").write_text(described.replace("accuracy", "pearson"))
    said = peftbench("check-task", "reviews.yaml", cwd=tmp_path)
    assert said.returncode == 1
    assert "invalidates scores (metric): the metric pearson cannot score" in said.stdout


def test_wrong_use_is_told_apart(tmp_path: Path) -> None:
    for argument, words in (("gone.yaml", "No task file"), ("sst3", "Did you mean 'sst2'")):
        said = peftbench("check-task", argument, cwd=tmp_path)
        assert said.returncode == 2
        assert words in said.stderr


def test_schema_of_a_task_file(tmp_path: Path) -> None:
    said = peftbench("schema", "--task", cwd=tmp_path)
    assert {"data", "prompt", "answer", "labels"} <= set(
        json.loads(said.stdout)["properties"]
    )


def test_own_task_runs_beside_a_shipped_one(tmp_path: Path) -> None:
    spec = f"""
models: [tiny]
methods: [base, lora]
tasks: [generated_sums, {EXAMPLES / "reviews.yaml"}]
seeds: [1]
training: {{steps: 2, batch_size: 4, validations: 1, max_length: 96}}
limits: {{train: 20, validation: 4, test: 6}}
"""
    (tmp_path / "both.yaml").write_text(spec)
    said = peftbench("run", "both.yaml", "--no-costs", "--store", "store", cwd=tmp_path)
    assert said.returncode == 0, said.stdout + said.stderr
    report = peftbench("report", "--store", "store", "--format", "json", cwd=tmp_path)
    summary = json.loads(report.stdout)
    (own,) = [task for task in summary["tasks"] if task["name"] == "reviews"]
    assert own["description"] == "Whether a note on a bakery is a complaint"
    assert own["test_examples"] == 6
    assert summary["finished_cells"] == 4
