"""Perturbed sets on the command line: at once, too late, and from kept adapters."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from command_line import peftbench

pytestmark = pytest.mark.usefixtures("no_processes")

SPEC = """
models: [tiny]
methods: [base, lora]
tasks: [sst2]
seeds: [1]
training: {steps: 2, batch_size: 4, validations: 1, max_length: 96}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A spec, a few rows of SST-2, and a perturbed set of six reviews."""
    folder = tmp_path_factory.mktemp("robust")
    (folder / "small.yaml").write_text(SPEC)
    rows = [{"sentence": f"film number {i}", "label": i % 2} for i in range(30)]
    reviews = [
        {"text": f"review {i}", "label": i % 2, "version": "counterfactual"}
        for i in range(6)
    ]
    parts = {
        "sst2/train": rows[:16], "sst2/validation": rows[16:20], "sst2/test": rows[20:],
        "robustness/imdb_counterfactual": reviews,
    }  # fmt: skip
    for name, content in parts.items():
        path = folder / "data" / f"{name}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(row) + "\n" for row in content))
    return folder


def run(folder: Path, store: str, *more: str) -> subprocess.CompletedProcess[str]:
    return peftbench(
        "run", "small.yaml", "--data-dir", "data", "--store", store, "--no-costs", *more,
        cwd=folder,
    )  # fmt: skip


def test_asked_too_late_only_asks_the_adapters_that_are_there(folder: Path) -> None:
    assert run(folder, "late").returncode == 0
    said = run(folder, "late", "--robust")
    assert said.returncode == 0, said.stdout + said.stderr
    assert "2 cells, 0 done, 2 to do (2 only to ask)" in said.stdout
    assert "no rows of the perturbed sets advglue: left out" in said.stdout
    assert "tiny · lora · sst2 · seed 1: accuracy" in said.stdout
    assert "and 1 perturbed set" in said.stdout
    assert "sst2 · imdb_counterfactual" in said.stdout
    assert "Robustness on tiny" in (folder / "late" / "report.html").read_text("utf-8")
    again = run(folder, "late", "--robust")
    assert "2 cells, 2 done, 0 to do" in again.stdout


def test_kept_adapters_are_scored_by_a_command_that_trains_nothing(folder: Path) -> None:
    assert run(folder, "kept").returncode == 0
    free = peftbench("gc", "--store", "kept", cwd=folder)
    assert "to free; --yes frees it" in free.stdout
    assert peftbench("gc", "--store", "kept", "--yes", cwd=folder).returncode == 0
    said = peftbench("robustness", "--store", "kept", "--data-dir", "data", cwd=folder)
    assert said.returncode == 1, said.stdout + said.stderr
    assert "no adapter was kept" in said.stdout
    assert "tiny · lora · sst2 · seed 1" in said.stdout.split("no adapter was kept")[1]
    assert "tiny · base · sst2" not in said.stdout.split("no adapter was kept")[1]
    trained = run(folder, "kept", "--robust")  # again, and the same
    assert trained.returncode == 0, trained.stdout + trained.stderr
    assert "2 cells, 1 done, 1 to do;" in trained.stdout
    said = peftbench("robustness", "--store", "kept", "--data-dir", "data", cwd=folder)
    assert said.returncode == 0, said.stdout + said.stderr
    exported = peftbench("export", "--store", "kept", "--output", "out", cwd=folder)
    assert exported.returncode == 0, exported.stderr
    lines = (folder / "out" / "records.jsonl").read_text("utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    assert len(records) == 2
    for record in records:
        [one] = record["evaluations"]
        assert one["test_set"]["name"] == "imdb_counterfactual"
        assert one["comparison"]["scores"]
