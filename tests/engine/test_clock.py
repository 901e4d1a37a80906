"""Every second of a cell belongs to a phase."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from peftbench.engine.clock import PhaseClock
from peftbench.engine.worker import Bench, Job
from peftbench.planning.plan import make_plan
from peftbench.spec import from_mapping
from peftbench.store import Store, Worker


class FakeTime:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_an_inner_phase_stops_the_outer_one() -> None:
    now = FakeTime()
    clock = PhaseClock(now)
    now.now += 1
    with clock.phase("train"):
        now.now += 2
        with clock.phase("validate"):
            now.now += 4
        now.now += 8
    now.now += 16
    assert clock.read() == {"other": 17, "train": 10, "validate": 4}
    assert clock.wall_seconds == 31


def test_a_phase_that_fails_is_counted() -> None:
    now = FakeTime()
    clock = PhaseClock(now)

    def fail() -> None:
        with clock.phase("load"):
            now.now += 3
            raise ValueError("x")

    with pytest.raises(ValueError, match="x"):
        fail()
    assert clock.read()["load"] == 3


@pytest.mark.parametrize("method", ["lora", "base"])
def test_phases_of_a_cell_add_up_to_its_wall_time(tmp_path: Path, method: str) -> None:
    spec = {
        "name": "timed",
        "models": ["tiny"],
        "methods": [method],
        "tasks": ["generated_sums"],
        "seeds": [1],
        "training": {"steps": 3, "batch_size": 4, "validations": 1},
        "limits": {"train": 20, "validation": 8, "test": 8},
    }
    plan = make_plan(from_mapping(spec))
    [planned] = plan.cells
    store = Store.open(tmp_path / "store")
    bench = Bench(Job(plan, tmp_path / "store", threads=1), store)
    lease = store.claim([planned.cell.id], Worker.here(), lease_seconds=60)
    assert lease is not None
    committed: list[float] = []
    commit = store.commit

    def timed_commit(*arguments: object) -> None:
        start = time.perf_counter()
        commit(*arguments)  # type: ignore[arg-type]
        committed.append(time.perf_counter() - start)

    store.commit = timed_commit  # type: ignore[method-assign, assignment]
    start = time.perf_counter()
    bench.compute(planned.cell, lease)
    wall = time.perf_counter() - start - committed[0]
    record = store.records()[planned.cell.id]
    store.close()
    assert record.status == "finished", record.error
    assert sum(record.seconds.values()) == pytest.approx(wall, rel=0.01, abs=0.02)
    assert record.wall_seconds == pytest.approx(wall, rel=0.01, abs=0.02)
    phases = {"load", "attach", "evaluate", "save", "check"}
    if method != "base":
        phases |= {"tokenise", "train", "validate"}
    assert phases <= record.seconds.keys()
    assert record.seconds["other"] < 0.1 * wall
