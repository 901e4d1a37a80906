"""Runs that cannot be repeated bit for bit say so."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import pytest
import torch

from peftbench.training.repeatable import operators_that_differ, use_repeatable_kernels


@pytest.fixture(autouse=True)
def repeatable_kernels() -> Iterator[None]:
    use_repeatable_kernels()
    yield
    torch.use_deterministic_algorithms(False)


def scattered() -> None:
    """Two values for one place: which one stays is anybody's guess."""
    torch.zeros(3).put_(torch.tensor([1, 1]), torch.tensor([2.0, 3.0]))


def test_operators_without_a_deterministic_kernel_are_named() -> None:
    with operators_that_differ() as found:
        torch.ones(3) @ torch.ones(3)
        assert found == set()
        scattered()
        scattered()
    assert found == {"put_"}


def test_each_run_hears_of_its_own() -> None:
    for _ in range(
        2
    ):  # Python shows a warning of one line once, unless it is told otherwise
        with operators_that_differ() as found:
            scattered()
        assert found == {"put_"}
    with operators_that_differ() as none:
        pass
    assert none == set()


def test_what_comes_up_on_the_way_back_is_heard_too() -> None:
    class Scattered(torch.autograd.Function):
        @staticmethod
        def forward(ctx: object, x: torch.Tensor) -> torch.Tensor:
            return x.clone()

        @staticmethod
        def backward(ctx: object, gradient: torch.Tensor) -> torch.Tensor:
            scattered()
            return gradient

    with operators_that_differ() as found:
        Scattered.apply(torch.ones(3, requires_grad=True)).sum().backward()
    assert found == {"put_"}


def test_a_sentence_of_torch_stands_for_an_operator_without_a_name() -> None:
    with operators_that_differ() as found:
        warnings.warn(
            "Memory Efficient attention defaults to a non-deterministic algorithm. To ...",
            UserWarning,
            stacklevel=1,
        )
    assert found == {"Memory Efficient attention defaults to a non-deterministic algorithm"}


def test_other_warnings_are_shown_as_ever() -> None:
    with (
        pytest.warns(UserWarning, match="a lamp is loose"),
        operators_that_differ() as found,
    ):
        warnings.warn("a lamp is loose", UserWarning, stacklevel=1)
    assert found == set()
