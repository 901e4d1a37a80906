"""Every second of a cell belongs to a phase."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from in_process import missing, plan, work
from peftbench.engine.clock import PhaseClock
from peftbench.engine.host import ModelHost
from peftbench.engine.unit import Unit
from peftbench.store import Results, Store


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
def test_phases_of_a_cell_add_up_to_its_wall_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """All but what the ledger takes, and the check of the base after the last step: a step
    cannot tell how long it took to write it. In processor time, which no other process moves."""
    monkeypatch.setattr(PhaseClock.__init__, "__defaults__", (time.thread_time,))
    made = plan(methods=[method], tasks=["generated_sums"])
    spent: list[float] = []
    real = Results.commit

    def commit(self: Results, *arguments: Any, **more: Any) -> bool:
        start = time.thread_time()
        found = real(self, *arguments, **more)
        spent.append(time.thread_time() - start)
        return found

    with Store.open(tmp_path / "store") as store:
        work(plan(methods=[method], tasks=["generated_mood"]), store)  # imports are done
        monkeypatch.setattr(Results, "commit", commit)
        host = ModelHost(made.models, None)
        queue = store.queue("timed")
        queue.open()
        queue.want(missing(made, store))
        claimed = queue.claim("me", lease_seconds=60)
        assert claimed is not None
        unit = Unit(claimed.work, claimed.lease, store, host)
        start = time.thread_time()
        assert unit.do() == "finished"
        wall = time.thread_time() - start - sum(spent)
        [record] = store.records(made.cells).values()
    assert record.wall_seconds == pytest.approx(sum(record.seconds.values()), abs=0.01)
    assert record.wall_seconds == pytest.approx(wall, rel=0.02, abs=0.1)
    assert record.wall_seconds < wall
    phases = {"load", "attach", "evaluate", "save", "check", "grade"}
    if method != "base":
        phases |= {"tokenise", "train", "validate"}
    assert phases <= record.seconds.keys()
    assert record.seconds["other"] < 0.1 * wall + 0.05
