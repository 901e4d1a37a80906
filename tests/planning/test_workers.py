"""How many workers suit a plan; GPUs are stood in for."""

from __future__ import annotations

import os
from typing import Any

import pytest

from peftbench.planning import workers
from peftbench.planning.memory_forecast import MemoryForecast
from peftbench.planning.plan import Plan, make_plan
from peftbench.planning.workers import default_workers, share_of_memory
from peftbench.spec import from_mapping

GB = 10**9


@pytest.fixture
def made() -> Plan:
    spec = {
        "name": "b", "models": ["tiny"], "methods": ["lora", "full"],
        "tasks": ["generated_mood"], "training": {"max_length": 64},
    }  # fmt: skip
    return make_plan(from_mapping(spec, "a test"))


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Any:
    def of(*, gpus: int, gpu_memory: int | None = None, cores: int = 16) -> None:
        monkeypatch.setattr(workers, "visible_gpus", lambda: tuple(map(str, range(gpus))))
        monkeypatch.setattr(workers, "gpu_memory_bytes", lambda: gpu_memory)
        monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(cores)))

    return of


def test_without_a_gpu_every_core_has_one(machine: Any, made: Plan) -> None:
    machine(gpus=0, cores=7)
    assert default_workers(made) == 7


def test_a_gpu_has_as_many_as_hold_the_largest_cell(
    machine: Any, made: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    needed = {"lora": GB, "full": 10 * GB}

    def of(self: MemoryForecast, cell: Any, lengths: Any) -> int | None:
        assert lengths == (64, None)
        return needed[cell.method.name]

    monkeypatch.setattr(MemoryForecast, "bytes_of", of)
    each = int(10 * GB * workers._ROOM) + workers._CONTEXT_BYTES
    for memory, expected in ((each - 1, 1), (each + 1, 1), (2 * each + 1, 2)):
        machine(gpus=1, gpu_memory=memory)
        assert default_workers(made) == expected
        machine(gpus=2, gpu_memory=memory)
        assert default_workers(made) == 2 * expected
    machine(gpus=1, gpu_memory=100 * each)
    assert default_workers(made) == workers.MOST_PER_GPU
    machine(gpus=1, gpu_memory=100 * each, cores=2)
    assert default_workers(made) == 2, "each wants a core"
    machine(gpus=4, gpu_memory=100 * each, cores=2)
    assert default_workers(made) == 4, "every GPU has one"


def test_one_where_nothing_can_be_told(
    machine: Any, made: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MemoryForecast, "bytes_of", lambda *_: None)
    machine(gpus=1, gpu_memory=80 * GB)
    assert default_workers(made) == 1


def test_workers_share_the_memory_of_their_own_device(machine: Any) -> None:
    machine(gpus=0)
    assert share_of_memory(24 * GB, 4) == 6 * GB
    machine(gpus=2)
    assert share_of_memory(80 * GB, 4) == 40 * GB
    assert share_of_memory(80 * GB, 3) == 40 * GB, "one of the two has two"
    assert share_of_memory(80 * GB, 1) == 80 * GB
