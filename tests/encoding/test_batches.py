"""Which examples meet in which step, and how they lie in a tensor."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from peftbench.encoding.batches import (
    Batch,
    epoch_batches,
    micro_batches,
    order_generator,
    plan_batches,
    total_steps,
)
from peftbench.encoding.encode import Encoded
from peftbench.spec import Training

CPU = torch.device("cpu")
lengths_of_rows = st.lists(st.integers(2, 300), min_size=1, max_size=150)


def plan(
    lengths: list[int], *, seed: int = 1, task: str = "t", **settings: float
) -> object:
    return plan_batches(lengths, Training(**settings), seed=seed, task=task)


@settings(max_examples=100, deadline=None)
@given(lengths_of_rows, st.integers(1, 20), st.integers(0, 5))
def test_every_example_comes_once_per_epoch(
    lengths: list[int], batch_size: int, seed: int
) -> None:
    batches = epoch_batches(lengths, batch_size, np.random.default_rng(seed))
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    assert all(len(batch) <= batch_size for batch in batches)
    assert len(batches) == math.ceil(len(lengths) / batch_size)


@settings(max_examples=50, deadline=None)
@given(lengths_of_rows, st.integers(1, 20), st.integers(1, 3))
def test_a_run_of_whole_epochs_sees_every_example_equally_often(
    lengths: list[int], batch_size: int, epochs: int
) -> None:
    training = Training(epochs=epochs, batch_size=batch_size)
    planned = plan_batches(lengths, training, seed=1, task="t")
    seen = [i for batch in planned for i in batch]
    assert sorted(seen) == sorted([*range(len(lengths))] * epochs)
    assert max(lengths[i] for i in planned[0]) == max(lengths), "the longest comes first"


def test_epochs_come_in_different_orders() -> None:
    planned = plan_batches([5] * 64, Training(epochs=2, batch_size=8), seed=1, task="t")
    assert sorted(map(sorted, planned[:8])) != sorted(map(sorted, planned[8:]))


def test_batches_are_of_similar_lengths_and_yet_not_always_the_same() -> None:
    lengths = [10] * 500 + [200] * 500
    orders = [epoch_batches(lengths, 10, np.random.default_rng(seed)) for seed in range(2)]
    mixed = sum(len({lengths[i] for i in batch}) > 1 for batch in orders[0])
    assert mixed <= 4, "a short row should not be padded to a long one"
    assert {frozenset(batch) for batch in orders[0]}.isdisjoint(
        frozenset(batch) for batch in orders[1]
    )
    firsts = [lengths[batch[0]] for batch in orders[0]]
    assert len(set(firsts[:10])) == 2, "short and long batches should take turns"


def test_the_order_depends_on_seed_task_and_epoch_and_on_nothing_else() -> None:
    lengths = list(range(2, 66))
    first = plan(lengths, steps=20)
    np.random.seed(123)  # other randomness in the process is of no account
    torch.manual_seed(123)
    assert plan(lengths, steps=20) == first
    assert plan(lengths, steps=20, learning_rate=1.0, micro_batch_size=2) == first
    assert plan(lengths, steps=20, seed=2) != first
    assert plan(lengths, steps=20, task="u") != first
    draws = {
        order_generator(*which).integers(2**62)
        for which in [(1, "t", 0), (1, "t", 1), (2, "t", 0), (1, "u", 0), (11, "t", 0)]
    }
    assert len(draws) == 5


def test_a_longer_run_starts_like_a_shorter_one() -> None:
    lengths = list(range(2, 66))
    short, long = plan(lengths, steps=10), plan(lengths, steps=30)
    assert isinstance(long, list)
    assert long[:10] == short


@pytest.mark.parametrize(
    ("settings", "examples", "expected"),
    [
        ({"epochs": 1, "batch_size": 4}, 12, 3),
        ({"epochs": 1, "batch_size": 4}, 13, 4),
        ({"epochs": 3, "batch_size": 4}, 13, 12),
        ({"epochs": 0.5, "batch_size": 4}, 13, 2),
        ({"epochs": 0.01, "batch_size": 4}, 13, 1),
        ({"epochs": 1.1, "batch_size": 1}, 50, 55),  # 1.1 * 50 is 55.00000000000001
        ({"epochs": 3, "steps": 7}, 1000, 7),  # steps go before epochs
        ({"steps": 7}, 1, 7),
    ],
)
def test_steps_of_a_run(settings: dict[str, float], examples: int, expected: int) -> None:
    assert total_steps(Training(**settings), examples) == expected


def test_a_batch_marks_where_a_target_comes_next() -> None:
    rows = [Encoded((5, 6, 7), (8, 2)), Encoded((9,), (3, 4, 2))]
    batch = Batch.of(rows, pad_id=0, device=CPU)
    assert batch.input_ids.tolist() == [[5, 6, 7, 8], [9, 3, 4, 0]]
    assert batch.answers.int().tolist() == [[0, 0, 1, 1], [1, 1, 1, 0]]
    assert batch.targets.tolist() == [8, 2, 3, 4, 2]


rows_of_tokens = st.lists(
    st.builds(
        Encoded,
        st.lists(st.integers(3, 95), min_size=1, max_size=9).map(tuple),
        st.lists(st.integers(3, 95), min_size=1, max_size=5).map(tuple),
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=100, deadline=None)
@given(rows_of_tokens)
def test_every_target_stands_right_after_its_position(rows: list[Encoded]) -> None:
    batch = Batch.of(rows, pad_id=0, device=CPU)
    positions = batch.answers.nonzero().tolist()
    assert len(positions) == len(batch.targets) == sum(len(row.completion) for row in rows)
    for (row, at), target in zip(positions, batch.targets.tolist(), strict=True):
        ids = (*rows[row].prompt, *rows[row].completion)
        assert ids[at + 1] == target
        assert batch.input_ids[row, at] == ids[at]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 99])
def test_micro_batches_are_the_batch_in_parts(size: int) -> None:
    rows = [Encoded((i,), (2,)) for i in range(5)]
    parts = list(micro_batches(rows, size))
    assert [row for part in parts for row in part] == rows
    assert max(map(len, parts)) == min(size, 5)
