"""One training step: the loop takes it, and the meter measures it."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from peftbench.cost.step import RepeatedStep
from peftbench.encoding.batches import Batch
from peftbench.methods import Hook, get
from peftbench.spec import Training
from peftbench.testing import tiny_llama
from peftbench.training.data import TrainingData
from peftbench.training.run import Run
from peftbench.training.seeds import seed_everything, state_sha256, trainable
from peftbench.training.step import TrainingStep

ROWS = 4


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", ["lora", "ia3", "full", "prompt-tuning"])
def test_the_meter_takes_the_very_step_of_the_loop(
    name: str, precision: Any, examples: Any
) -> None:
    """On one batch: the same bits after two steps, clipped and in either precision."""
    training = Training(
        steps=2,
        batch_size=ROWS,
        precision=precision,
        scheduler="constant",
        warmup_fraction=0,
    )
    data = TrainingData(
        examples[:ROWS], [range(ROWS)] * 2, training, 0, torch.device("cpu")
    )
    adapted = []
    for _ in range(2):
        seed_everything(1)
        adapted.append(get(name)().attach(tiny_llama()))
    start = state_sha256(adapted[0])

    run = Run(adapted[0], data)
    step = RepeatedStep(
        TrainingStep(adapted[1], training), Batch.of(examples[:ROWS], 0, data.device)
    )
    for _ in range(2):
        run.step()
        step()

    assert state_sha256(adapted[0]) == state_sha256(adapted[1]) != start


def test_what_is_trained_stays_in_float32(examples: Any) -> None:
    adapted = get("lora")().attach(tiny_llama())
    step = TrainingStep(adapted, Training(precision="bfloat16"))
    step.gradients([Batch.of(examples[:ROWS], 0, torch.device("cpu"))])
    for parameter in trainable(adapted).values():
        assert parameter.dtype == torch.float32
        assert parameter.grad is not None
        assert parameter.grad.dtype == torch.float32


def test_a_check_that_raises_leaves_everything_where_it_was(examples: Any) -> None:
    class Stop(Exception):
        pass

    def check(losses: list[torch.Tensor], norm: torch.Tensor) -> None:
        assert len(losses) == 1
        assert norm > 0
        raise Stop

    adapted = get("lora")().attach(tiny_llama())
    before = state_sha256(adapted)
    step = TrainingStep(adapted, Training(), Hook())
    batch = Batch.of(examples[:ROWS], 0, torch.device("cpu"))
    with pytest.raises(Stop):
        step.take(0, lambda: step.gradients([batch]), check=check)
    assert state_sha256(adapted) == before
