"""Toy data for a tiny random model: runs of a second, with all that real ones have."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from torch import nn

from peftbench import methods
from peftbench.encoding.encode import Encoded
from peftbench.spec import Training
from peftbench.testing import tiny_llama
from peftbench.training.data import TrainingData
from peftbench.training.run import Run
from peftbench.training.seeds import seed_everything

if TYPE_CHECKING:
    from transformers import PreTrainedModel

MakeRun = Callable[..., Run]


@pytest.fixture(scope="session")
def examples() -> tuple[Encoded, ...]:
    """Rows of different lengths, with one to four target tokens; the end token is 2, and
    every prompt ends with 7."""
    chance = random.Random(0)

    def tokens(low: int, high: int) -> tuple[int, ...]:
        return tuple(chance.randrange(3, 96) for _ in range(chance.randint(low, high)))

    return tuple(Encoded((*tokens(1, 11), 7), (*tokens(0, 3), 2)) for _ in range(24))


@pytest.fixture(scope="session")
def small_settings() -> dict[str, dict[str, Any]]:
    """Settings that keep a method small; the others are small by themselves."""
    return {
        "lora": {"rank": 2, "dropout": 0.1},
        "prompt-tuning": {"num_virtual_tokens": 3},
        "prefix-tuning": {"num_virtual_tokens": 3},
        "p-tuning": {"num_virtual_tokens": 3},
    }


@pytest.fixture
def make_run(
    examples: tuple[Encoded, ...], small_settings: dict[str, dict[str, Any]]
) -> MakeRun:
    """A fresh run of a method on a fresh tiny model."""

    def make(
        name: str = "lora",
        *,
        seed: int = 1,
        model: PreTrainedModel | None = None,
        parameters: dict[str, Any] | None = None,
        higher_is_better: bool = True,
        **settings: Any,
    ) -> Run:
        settings = {"steps": 6, "batch_size": 4, "learning_rate": 1e-2} | settings
        training = Training(**settings)
        chosen = small_settings.get(name, {}) if parameters is None else parameters
        seed_everything(seed)
        method = methods.get(name)(**chosen)
        data = TrainingData.planned(examples, training, seed=seed, task="toy", pad_id=0)
        adapted: nn.Module = method.attach_for(model or tiny_llama(), data.context)
        return Run(
            adapted,
            data,
            higher_is_better=higher_is_better,
            hook=method.hook(adapted, data.context),
        )

    return make
