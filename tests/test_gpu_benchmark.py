"""The GPU's benchmark runs on a CPU at toy size, so that it works where a card is lent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from benchmarks.gpu.__main__ import PARTS, main

from in_process import workers_in_process

IN_PROCESS = (
    "ceilings", "repeatable", "costs", "predicted", "recipe", "workers", "methods",
)  # fmt: skip


def found(folder: Path, part: str) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((folder / f"gpu-{part}.json").read_text())
    assert told["part"] == part
    assert told["toy"] is True
    assert told["packages"]["torch"]
    result: dict[str, Any] = told["found"]
    return result


@pytest.mark.slow
def test_parts_that_measure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with workers_in_process():
        assert (
            main(
                [
                    "--toy",
                    "--parts",
                    ",".join(IN_PROCESS),
                    "--workers",
                    "1",
                    "--out",
                    str(tmp_path),
                ]
            )
            == 0
        )
    assert found(tmp_path, "ceilings")["float32_tflops"] > 0
    assert found(tmp_path, "repeatable")["lora, float32"]["not_repeatable"] == []
    costs = found(tmp_path, "predicted")["methods"]
    precisions = [(one["method"], one["precision"]) for one in costs]
    assert precisions == [("lora", "bfloat16"), ("dora", "bfloat16"), ("lora", "float32")]
    for one in costs:
        for name in (
            "trainable_parameters",
            "stored_bytes",
            "training_step_flops",
            "total_bytes",
        ):
            measured, predicted = one[name]
            assert measured == predicted > 0, name
    recipe = found(tmp_path, "recipe")
    assert recipe["train_ratio"] > 0
    assert recipe["evaluate_ratio"] > 0
    assert [one["finished"] for one in found(tmp_path, "workers")["runs"]] == [1]
    methods = found(tmp_path, "methods")["methods"]
    assert {name: one["status"] for name, one in methods.items()} == {
        "base": "finished",
        "lora": "finished",
    }

    capsys.readouterr()
    assert main(["--toy", "--parts", "ceilings", "--out", str(tmp_path)]) == 0
    assert "is there" in capsys.readouterr().out, "what is done is not done again"


@pytest.mark.slow
def test_parts_with_processes_of_their_own(tmp_path: Path) -> None:
    assert main(["--toy", "--parts", "kill,suite", "--out", str(tmp_path)]) == 0
    kill = found(tmp_path, "kill")
    assert kill["resumed_is_bit_for_bit"]
    assert kill["killed"]["resumed"] == 1
    assert kill["killed"]["status"] == {"lora": "finished"}
    suite = found(tmp_path, "suite")
    assert suite["passed"] > 5
    assert suite["failed"] == {}


def test_a_part_that_fails_leaves_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from benchmarks.gpu import repeatable

    def broken(_size: Any) -> dict[str, Any]:
        raise RuntimeError("no such kernel")

    monkeypatch.setattr(repeatable, "run", broken)
    assert main(["--toy", "--parts", "repeatable,ceilings", "--out", str(tmp_path)]) == 1
    assert [one.name for one in tmp_path.iterdir()] == ["gpu-ceilings.json"]


def test_a_part_that_there_is_not_is_named() -> None:
    with pytest.raises(SystemExit, match=r"no such parts: memory; there are ceilings, "):
        main(["--parts", "memory,kill"])


def test_every_part_is_tried() -> None:
    assert {*IN_PROCESS, "kill", "suite"} == set(PARTS)
