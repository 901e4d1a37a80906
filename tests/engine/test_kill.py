"""SIGKILL at any moment loses at most the work since the last checkpoint."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from peftbench.engine.worker import Bench, Job
from peftbench.planning.plan import Plan, make_plan
from peftbench.spec import from_mapping
from peftbench.store import Store
from peftbench.store._files import sha256

KILLS = 30


def small_plan() -> Plan:
    """Four methods that save in different ways; a few seconds of work each."""
    spec = {
        "name": "killed",
        "models": ["tiny"],
        "methods": ["base", "lora", "bitfit", "full", "prompt-tuning"],
        "tasks": ["generated_sums", "generated_mood"],
        "seeds": [1],
        "training": {"steps": 12, "batch_size": 8, "validations": 3, "max_length": 64},
        "limits": {"train": 100, "validation": 16, "test": 24},
    }
    return make_plan(from_mapping(spec))


def work(plan: Plan, folder: Path) -> None:
    """What a worker process does, with a checkpoint after every step."""
    import torch

    torch.set_num_threads(1)
    job = Job(plan, folder, threads=1, checkpoint_seconds=0.0, crashes_allowed=10**6)
    store = Store.open(folder)
    Bench(job, store).work([planned.cell.id for planned in plan.cells])
    store.close()


def in_a_child(plan: Plan, folder: Path, kill_after: float | None) -> bool:
    """Work in a forked process, which has all imports behind it; True if it ended well."""
    child = os.fork()
    if child == 0:
        try:
            work(plan, folder)
        except BaseException:
            os._exit(1)
        os._exit(0)
    if kill_after is not None:
        time.sleep(kill_after)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status):
        assert os.WEXITSTATUS(status) == 0, "the worker failed by itself"
    return os.WIFEXITED(status)


def results(folder: Path) -> dict[str, Any]:
    """All that a store says, but for when, where and how long."""
    store = Store.open(folder, create=False)
    found = {}
    for cell_id, record in store.records().items():
        said = record.model_dump(
            mode="json", exclude={"manifest", "seconds", "wall_seconds"}
        )
        said["initial adapter"] = record.manifest.initial_adapter_sha256
        path = folder / "cells" / cell_id / "predictions.parquet"
        assert store.predictions(cell_id) is not None
        found[cell_id] = (said, sha256(path))
    store.close()
    return found


def forget_all(folder: Path) -> int:
    """Start the store over; returns how often its runs had gone on from a checkpoint."""
    store = Store.open(folder)
    records = store.records()
    store.forget(records)
    store.close()
    return sum(record.manifest.resumed for record in records.values())


@pytest.mark.slow
def test_killed_many_times_ends_as_if_never_killed(tmp_path: Path) -> None:
    # Before the fork, so that no child spends its short life importing.
    import datasets  # noqa: F401
    import peft  # noqa: F401
    import peftbench.engine.cell_run  # noqa: F401
    import pyarrow.parquet  # noqa: F401
    from transformers.models.llama import modeling_llama  # noqa: F401

    plan = small_plan()
    start = time.monotonic()
    assert in_a_child(plan, tmp_path / "whole", kill_after=None)
    seconds = time.monotonic() - start
    expected = results(tmp_path / "whole")
    assert set(expected) == {planned.cell.id for planned in plan.cells}
    assert {said["status"] for said, _ in expected.values()} == {"finished"}

    moments = random.Random(1)
    kills, resumed = 0, 0
    while kills < KILLS:
        # Some die while opening the store, most while computing; all over the run.
        kill_after = moments.uniform(0.0, 4 * seconds / KILLS)
        if in_a_child(plan, tmp_path / "killed", kill_after):
            assert kills, "the run ended before it was ever killed"
            done = results(tmp_path / "killed")
            assert done == expected
            resumed += forget_all(tmp_path / "killed")
        else:
            kills += 1
        half_there = results(tmp_path / "killed")
        assert half_there == {cell: expected[cell] for cell in half_there}
    assert in_a_child(plan, tmp_path / "killed", kill_after=None)
    assert results(tmp_path / "killed") == expected
    for leftovers in ("checkpoints", "staging"):
        assert not list((tmp_path / "killed" / leftovers).iterdir())
    resumed += forget_all(tmp_path / "killed")
    assert resumed >= KILLS / 4, "most kills met no run with a checkpoint"


SPEC = """
models: [tiny]
methods: [base, lora, bitfit]
tasks: [generated_sums]
seeds: [1, 2]
training: {steps: 8, batch_size: 8, validations: 1, max_length: 64}
limits: {train: 100, validation: 8, test: 16}
"""


def start_run(folder: Path, *more: str) -> subprocess.Popen[str]:
    (folder / "spec.yaml").write_text(SPEC)
    command = [sys.executable, "-m", "peftbench", "run", str(folder / "spec.yaml")]
    return subprocess.Popen(
        [*command, "--store", str(folder / "store"), "--no-costs", *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


@pytest.mark.slow
def test_two_runs_on_one_store_compute_no_cell_twice(tmp_path: Path) -> None:
    runs = [start_run(tmp_path, "--workers", "1") for _ in range(2)]
    outputs = [run.communicate(timeout=300)[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], outputs
    finished = [line for text in outputs for line in text.splitlines() if " s)" in line]
    assert len(finished) == 5, outputs
    import sqlite3

    with sqlite3.connect(tmp_path / "store" / "store.sqlite") as connection:
        tokens = connection.execute("select token from claims").fetchall()
    assert tokens == [(1,)] * 5, "a cell was claimed more than once"


@pytest.mark.slow
def test_killed_parent_takes_its_workers_along_and_run_goes_on(tmp_path: Path) -> None:
    run = start_run(tmp_path, "--workers", "1")
    assert run.stdout
    for line in run.stdout:
        if "[1/" in line:
            break
    run.kill()  # the parent alone, not its workers
    run.wait()
    time.sleep(1.0)
    command = ["ps", "-s", str(run.pid), "-o", "stat=,args="]
    left = subprocess.run(command, capture_output=True, text=True).stdout.splitlines()
    alive = [line for line in left if not line.startswith("Z")]  # Z: ended, not yet reaped
    assert not alive, "a worker outlived its parent"
    again = start_run(tmp_path, "--workers", "1")
    output, _ = again.communicate(timeout=300)
    assert again.returncode == 0, output
    assert "1 done, 4 to do" in output or "2 done, 3 to do" in output


@pytest.mark.slow
def test_interrupt_ends_cleanly_and_says_how_to_resume(tmp_path: Path) -> None:
    run = start_run(tmp_path, "--workers", "1")
    assert run.stdout
    for line in run.stdout:
        if "[1/" in line:
            break
    run.send_signal(signal.SIGINT)
    output, _ = run.communicate(timeout=60)
    assert run.returncode == 130, output
    assert "Traceback" not in output
    assert "Finished cells are kept" in output
    assert f"peftbench run {tmp_path / 'spec.yaml'}" in output
    status = json.loads(_plan_json(tmp_path))
    assert {cell["status"] for cell in status["cells"]} == {"finished", "to do"}


def _plan_json(folder: Path) -> str:
    command = [sys.executable, "-m", "peftbench", "plan", str(folder / "spec.yaml")]
    return subprocess.run(
        [*command, "--store", str(folder / "store"), "--json"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
