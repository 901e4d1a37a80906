"""SIGKILL at any moment loses at most the work since the last checkpoint."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch

from command_line import peftbench
from in_process import plan, warm_up, work, workers_in_process
from peftbench.planning.plan import Plan
from peftbench.store import Outcome, Store, Trained

KILLS = 30
#: Audit events that tell how far a process is.
MARKS = ("sqlite3.connect", "os.rename")


def small_plan() -> Plan:
    """Four methods that save in different ways, on labels and on free answers in turn; a
    few seconds of work each."""
    made = plan(
        methods=["base", "lora", "bitfit", "full", "prompt-tuning"],
        tasks=["generated_sums", "generated_mood"],
        training={"steps": 12, "batch_size": 2, "validations": 3, "max_length": 64},
        limits={"train": 100, "validation": 8, "test": 8},
    )
    left_out = {
        (method, task)
        for method, task in zip(
            ("lora", "bitfit", "full", "prompt-tuning"),
            ("generated_sums", "generated_mood") * 2,
            strict=True,
        )
    }
    kept = [p for p in made.cells if (p.label, p.cell.task.name) not in left_out]
    return replace(made, cells=tuple(kept))


@dataclass(frozen=True)
class Moment:
    """When to kill: so long after the child has got so far, whatever the machine's speed."""

    marks: int
    seconds: float


def in_a_child(made: Plan, folder: Path, kill: Moment | None = None) -> tuple[bool, int]:
    """Work in a forked process, which has all imports behind it, with a checkpoint after
    every step; whether it ended well, and how many marks it passed before it was killed.

    It passes one when it opens a database, and when something to keep gets its name.
    """
    heard, told = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            import torch

            torch.set_num_threads(1)
            sys.addaudithook(lambda event, _: event in MARKS and os.write(told, b"."))
            with Store.open(folder) as store:
                work(made, store, checkpoint_seconds=0.0, lease_seconds=0.5)
                store.tidy()
        except BaseException:
            os._exit(1)
        os._exit(0)
    os.close(told)
    passed = 0
    while (kill is None or passed < kill.marks) and os.read(heard, 1):
        passed += 1
    if kill is not None:
        time.sleep(kill.seconds)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    os.close(heard)
    if os.WIFEXITED(status):
        assert os.WEXITSTATUS(status) == 0, "the worker failed by itself"
    return os.WIFEXITED(status), passed


#: Of each step its numbers, all that its outcome says but when, where and how long; the
#: digests of its files; and of a run, what it began with.
Found = dict[str, tuple[str, dict[str, str], str | None]]


def results(folder: Path) -> Found:
    """All that a store says; every file is read."""
    found: Found = {}
    with Store.open(folder, create=False) as store:
        for step_id, one in store.results.by_id(store.results.step_ids()).items():
            assert isinstance(one.outcome, Outcome)
            for name in one.files:
                assert store.results.file(one, name) is not None
            manifest = one.outcome.manifest
            began = manifest.initial_adapter_sha256 if manifest else None
            found[step_id] = (one.outcome.numbers, one.digests, began)
        assert store.results.contradictions() == []
    return found


def forget_all(folder: Path) -> int:
    """Start the store over; returns how often its runs had gone on from a checkpoint."""
    with Store.open(folder) as store:
        trained = [one.outcome for one in store.results.of_kind("train")]
        store.results.forget(store.results.step_ids())
    manifests = [one.manifest for one in trained if isinstance(one, Trained)]
    return sum(one.resumed for one in manifests if one)


@pytest.mark.slow
@pytest.mark.skipif(
    torch.cuda.is_available(),
    reason="forks, which CUDA does not outlive; benchmarks/gpu/kill.py kills on a GPU",
)
def test_killed_many_times_ends_as_if_never_killed(tmp_path: Path) -> None:
    warm_up(tmp_path)  # no child spends its short life on that
    made = small_plan()
    start = time.monotonic()
    is_whole, marks = in_a_child(made, tmp_path / "whole")
    between = (time.monotonic() - start) / marks
    assert is_whole
    assert marks >= 48 + 10, "checkpoints, and files of runs and answers"
    expected = results(tmp_path / "whole")
    with Store.open(tmp_path / "whole", create=False) as store:
        records = store.records(made.cells)
        assert set(records) == {planned.cell.id for planned in made.cells}
        assert {one.status for one in records.values()} == {"finished"}
    assert len(expected) == 4 + 6 + 6, "runs, answers and grades"

    moments = random.Random(1)
    kills, resumed = 0, 0
    while kills < KILLS:
        # Some die while opening the store, most while computing; all over the run.
        kill = Moment(moments.randrange(4 * marks // KILLS), moments.uniform(0, between))
        is_whole, _ = in_a_child(made, tmp_path / "killed", kill)
        if is_whole:
            assert kills, "the run ended before it was ever killed"
            assert results(tmp_path / "killed") == expected
            resumed += forget_all(tmp_path / "killed")
        else:
            kills += 1
        if (tmp_path / "killed" / "store.sqlite").exists():
            half_there = results(tmp_path / "killed")
            assert half_there == {step: expected[step] for step in half_there}
    is_whole, _ = in_a_child(made, tmp_path / "killed")
    assert is_whole
    assert results(tmp_path / "killed") == expected
    for leftovers in ("checkpoints", "staging"):
        assert not list((tmp_path / "killed" / leftovers).iterdir())
    with Store.open(tmp_path / "killed", create=False) as store:
        left = store.results.left_behind()
    assert len(left) <= KILLS, "of kills between a folder's name and its row; gc's"
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


def arguments(folder: Path) -> tuple[str, ...]:
    return str(folder / "spec.yaml"), "--store", str(folder / "store")


def start_run(folder: Path) -> subprocess.Popen[str]:
    (folder / "spec.yaml").write_text(SPEC)
    command = [sys.executable, "-m", "peftbench", "run", *arguments(folder)]
    return subprocess.Popen(
        [*command, "--no-costs", "--workers", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


@pytest.mark.slow
def test_killed_parent_takes_its_workers_along_and_run_goes_on(tmp_path: Path) -> None:
    run = start_run(tmp_path)
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
    with sqlite3.connect(tmp_path / "store" / "store.sqlite") as connection:
        crashes = connection.execute("select max(crashes) from claims").fetchone()
    assert crashes == (0,), "a run that is killed as a whole has crashed over nothing"
    with workers_in_process():
        again = peftbench("run", *arguments(tmp_path), "--no-costs")
    assert again.returncode == 0, again.stdout + again.stderr
    assert "1 done, 4 to do" in again.stdout or "2 done, 3 to do" in again.stdout


@pytest.mark.slow
def test_interrupt_ends_cleanly_and_says_how_to_resume(tmp_path: Path) -> None:
    run = start_run(tmp_path)
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
    plan = json.loads(peftbench("plan", *arguments(tmp_path), "--json").stdout)
    assert {cell["status"] for cell in plan["cells"]} == {"finished", "to do"}
