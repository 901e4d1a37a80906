"""A seed stands for initial values too: the same start again, another for another."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import pytest
import torch

from peftbench import methods
from peftbench.testing import tiny_llama
from peftbench.training.run import Run
from peftbench.training.seeds import seed_everything, state_sha256, trainable

MakeRun = Callable[..., Run]
RANDOM_AT_THE_START = ("lora", "prompt-tuning", "prefix-tuning", "p-tuning")


@pytest.mark.parametrize("name", [n for n in methods.names() if methods.get(n).trains])
def test_the_same_seed_gives_the_same_start(name: str, make_run: MakeRun) -> None:
    digests = {state_sha256(make_run(name, seed=3).model) for _ in range(2)}
    assert len(digests) == 1


@pytest.mark.parametrize("name", RANDOM_AT_THE_START)
def test_another_seed_gives_another_start(name: str, make_run: MakeRun) -> None:
    digests = {state_sha256(make_run(name, seed=seed).model) for seed in range(3)}
    assert len(digests) == 3


def test_the_digest_is_of_what_trains_and_of_nothing_else(make_run: MakeRun) -> None:
    model = make_run("lora").model
    before = state_sha256(model)
    with torch.no_grad():
        frozen = next(p for p in model.parameters() if not p.requires_grad)
        frozen.add_(1.0)
        assert state_sha256(model) == before
        next(iter(trainable(model).values()))[0, 0] += 1e-6
    assert state_sha256(model) != before


def test_a_model_without_anything_to_train_has_a_digest() -> None:
    assert state_sha256(tiny_llama(0)) == state_sha256(tiny_llama(1))


def test_all_three_sources_of_random_numbers_are_seeded() -> None:
    draws = []
    for seed in (7, 7, 8):
        seed_everything(seed)
        draws.append((random.random(), float(np.random.rand()), float(torch.rand(1))))
    assert draws[0] == draws[1]
    assert not set(draws[0]) & set(draws[2])


def test_the_largest_seed_a_spec_allows_can_be_used() -> None:
    seed_everything(2**32 - 1)
