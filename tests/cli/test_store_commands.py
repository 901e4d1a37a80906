"""Stores as a whole on the command line: copied, merged, checked, bundled, freed."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import peftbench
from in_process import workers_in_process
from peftbench.cli._app import app
from peftbench.errors import StoreError
from peftbench.store import Graded, Store

pytestmark = pytest.mark.usefixtures("no_processes")

SPEC = {
    "name": "small",
    "models": ["tiny"],
    "methods": ["base", "lora"],
    "tasks": ["generated_sums"],
    "seeds": [1],
    "training": {"steps": 2, "batch_size": 4, "validations": 1, "max_length": 64},
    "limits": {"train": 20, "validation": 4, "test": 6},
}


def call(*arguments: str | Path) -> Result:
    """A command; errors that are meant for the user are raised."""
    result = CliRunner().invoke(app, [str(one) for one in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stores") / "one"
    with workers_in_process(), peftbench.Experiment(SPEC, store=folder) as experiment:
        results = experiment.run(workers=1, measure_costs=False)
    assert results.summary.finished_cells == 2
    return folder


@pytest.fixture
def here(original: Path, tmp_path: Path) -> Iterator[Path]:
    """A folder with a store of its own, "one"."""
    shutil.copytree(original, tmp_path / "one")
    before = Path.cwd()
    os.chdir(tmp_path)
    yield tmp_path
    os.chdir(before)


def numbers(store: str) -> str:
    return call("report", "--store", store, "--format", "csv").stdout


def test_a_copy_has_the_same_results_and_is_whole(here: Path) -> None:
    said = call("store", "copy", "two", "--store", "one")
    assert said.stdout == "two: 5 results added, 0 known before\n"
    assert numbers("two") == numbers("one")
    said = call("store", "check", "--store", "two")
    assert (said.exit_code, said.stdout) == (0, "5 results read, 0 faults\n")
    with pytest.raises(StoreError, match="`peftbench store merge` brings results into one"):
        call("store", "copy", "two", "--store", "one")
    with pytest.raises(StoreError, match="no benchmark called 'x'; it has small"):
        call("store", "copy", "three", "--store", "one", "--benchmark", "x")


def test_merging_twice_adds_nothing(here: Path) -> None:
    said = call("store", "merge", "one", "one", "--store", "all")
    assert said.stdout.splitlines() == [
        "one: 5 results added, 0 known before",
        "one: 0 results added, 5 known before",
    ]
    assert numbers("all") == numbers("one")


def test_other_numbers_are_kept_beside_and_shown(here: Path) -> None:
    call("store", "copy", "other", "--store", "one")
    with Store.open(Path("other")) as other:
        grade = other.results.of_kind("grade")[0]
        assert isinstance(grade.outcome, Graded)
        other.results.forget([grade.step.id])
        changed = grade.outcome.model_copy(update={"task_version": 7})
        other.results.commit(None, grade.step, changed)
    before = numbers("one")
    said = call("store", "merge", "other", "--store", "one")
    assert said.exit_code == 1
    assert said.stdout.splitlines() == [
        "other: 0 results added, 5 known before, 1 of them with other numbers",
        "Look at them with `peftbench store check --store one`.",
    ]
    assert numbers("one") == before
    said = call("store", "check", "--store", "one")
    assert said.exit_code == 1
    assert f"{grade.step.id[:12]}: other has other numbers:" in said.stdout
    assert "  task_version: 1 here, 7 there" in said.stdout
    assert "5 results read, 1 fault\n" in said.stdout


def test_an_altered_file_is_found(here: Path) -> None:
    file = next(Path("one").glob("files/*/predictions.parquet"))
    file.write_bytes(file.read_bytes() + b"x")
    said = call("store", "check", "--store", "one")
    assert said.exit_code == 1
    assert (
        "predictions.parquet is missing or was altered after it was written" in said.stdout
    )


def test_a_bundle_carries_everything(here: Path) -> None:
    said = call("export", "--store", "one", "--bundle", "-o", "bundle")
    assert said.stdout == "bundle/bundle.json\n"
    said = call("import", "bundle", "bundle", "--store", "two")
    assert said.stdout == "5 results added, 0 known before\n"
    assert numbers("two") == numbers("one")
    found = call("show", "lora/generated_sums/1", "--store", "two", "--json")
    assert json.loads(found.stdout)["has_adapter"]
    said = call("import", "bundle", "bundle", "--store", "two")
    assert said.stdout == "0 results added, 5 known before\n"
    file = next(Path("bundle").glob("files/*/adapter/adapter_model.safetensors"))
    file.write_bytes(file.read_bytes() + b"x")
    with pytest.raises(StoreError, match="not as it was written"):
        call("import", "bundle", "bundle", "--store", "three")
    with pytest.raises(StoreError, match="is no bundle"):
        call("import", "bundle", "one", "--store", "three")


def test_gc_says_what_it_would_free_and_frees_it_when_told(here: Path) -> None:
    (Path("one") / "files" / "left-7").mkdir()
    said = call("gc", "--store", "one")
    assert "adapter " in said.stdout
    assert f"left behind {Path('one') / 'files' / 'left-7'}" in said.stdout
    assert said.stdout.endswith("to free; --yes frees it\n")
    assert list(Path("one").glob("files/*/adapter"))
    assert call("gc", "--store", "one", "--yes").stdout.endswith(" freed\n")
    assert not list(Path("one").glob("files/*/adapter"))
    assert not (Path("one") / "files" / "left-7").exists()
    shown = call("show", "lora/generated_sums/1", "--store", "one")
    assert "its adapter is not kept" in shown.stdout
    assert call("gc", "--store", "one").stdout == "nothing to free\n"
    assert call("store", "check", "--store", "one").exit_code == 0


def test_gc_leaves_adapters_that_are_to_be_kept(here: Path) -> None:
    with peftbench.Experiment({**SPEC, "keep_adapters": True}, store="one") as experiment:
        experiment.run(workers=1, measure_costs=False)
    assert call("gc", "--store", "one", "--yes").stdout == "nothing to free\n"
    assert list(Path("one").glob("files/*/adapter"))
