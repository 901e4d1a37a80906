"""The protocol peft-bench on real rows; skipped where the data pack is not to be had."""

from __future__ import annotations

from pathlib import Path

import pytest

from peftbench.tasks import peft_bench
from peftbench.tasks._data import load_task_data


@pytest.mark.parametrize("name", peft_bench.names())
def test_every_row_is_asked_and_its_answer_reads_back(name: str, shared_dir: Path) -> None:
    data = load_task_data(
        name,
        data_dir=shared_dir / "data",
        limits={"train": 100, "validation": 50, "test": None},
        protocol="peft-bench",
    )
    ask = peft_bench.rule(name).ask
    for split, examples in data.examples.items():
        assert examples
        for example in examples:
            assert data.task.read_answer(example.completion) == example.target
            assert example.prompt.startswith(ask) or (name, split) == (
                "winogrande",
                "train",
            )
