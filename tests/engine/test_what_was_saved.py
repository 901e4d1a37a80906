"""A run ends well if its adapter was saved whole and does something, in every precision."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch

from in_process import TINY, plan, work
from peftbench import methods
from peftbench.engine.adapter import AdapterRun
from peftbench.store import Store
from peftbench.training.run import Run

DTYPES = ["float32", "bfloat16", "float16"]


def errors(tmp_path: Path, dtype: str = "bfloat16", **changes: Any) -> list[str | None]:
    """Why each run of a plan on weights of this type failed; None where it did not."""
    made = plan(models=[{"name": "tiny", "dtype": dtype}], **changes)
    with Store.open(tmp_path / "store") as store:
        work(made, store)
        return [record.error for record in store.records(made.cells).values()]


@pytest.mark.parametrize("dtype", DTYPES)
def test_pruned_ranks_and_closed_gates_are_no_fault(dtype: str, tmp_path: Path) -> None:
    """After eight steps, token selection has closed every gate: no logit is changed."""
    short = {
        "training": {**TINY["training"], "steps": 8},
        "limits": {"train": 16, "validation": 1, "test": 1},
    }
    found = errors(tmp_path, dtype, methods=["adalora", "ts-bottleneck"], **short)
    assert found == [None, None]


@pytest.mark.parametrize("dtype", DTYPES)
def test_one_tensor_a_twentieth_too_large_is_found(
    dtype: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind: Any = methods.get("bitfit")
    real = kind.load

    def load(self: Any, model: Any, folder: Path) -> Any:
        loaded = real(self, model, folder)
        next(p for n, p in loaded.named_parameters() if "beft" in n).data *= 1.05
        return loaded

    monkeypatch.setattr(kind, "load", load)
    [error] = errors(tmp_path, dtype)
    assert error is not None
    assert (
        "does not compute what the trained one did: in float32, logits differ by" in error
    )


def test_training_that_moves_nothing_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def step(self: Run) -> None:
        self.progress.step += 1

    monkeypatch.setattr(Run, "step", step)
    [error] = errors(tmp_path)
    assert error is not None
    assert "Training moved no parameter" in error


def test_adapter_that_is_switched_off_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = AdapterRun._probe

    def probe(self: AdapterRun, adapted: Any) -> torch.Tensor:
        with getattr(adapted, "disable_adapter", nullcontext)():
            return real(self, adapted)

    monkeypatch.setattr(AdapterRun, "_probe", probe)
    [error] = errors(tmp_path, methods=["lora"])
    assert error is not None
    assert "It is not switched on." in error
