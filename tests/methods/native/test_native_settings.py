"""Settings of native methods that make no sense are refused before a model is loaded."""

from __future__ import annotations

from typing import Any

import pytest

from peftbench import methods
from peftbench.errors import InvalidSpec, ModelError
from peftbench.models import Shapes
from peftbench.testing import tiny_llama

BAD: list[tuple[str, dict[str, Any], str]] = [
    ("sequential-bottleneck", {"bottleneck": 0}, "bottleneck, got 0; try 8 to 256"),
    ("double-bottleneck", {"non_linearity": "tanh"}, "relu, gelu, silu, got 'tanh'"),
    ("scaled-parallel-adapter", {"scale": 0}, "above 0 as scale, got 0"),
    ("adaptformer", {"dropout": 1}, "dropout, got 1"),
    ("adaptformer", {"scale": "loud"}, "above 0 as scale, got 'loud'"),
    ("compacter", {"bottleneck": 6}, "6, the bottleneck, is no multiple of n = 4"),
    ("ssf", {"target_modules": "q_proj"}, r"did you mean \[q_proj\]"),
    ("svft", {"diagonals": 0}, "diagonals, got 0; 1 trains singular values alone"),
    ("hydra", {"rank": 1.5}, "rank, got 1.5"),
    ("dylora", {"alpha": 0}, "alpha, got 0"),
    ("fact", {"scale": float("inf")}, "above 0 as scale, got inf"),
    ("loreft", {"rank": -1}, "rank, got -1"),
    ("last-layers", {"layers": 0}, "1 trains the last block"),
    ("lst", {"side_width": 0}, "side_width, got 0"),
    ("mam", {"prefix_tokens": 0}, "prefix_tokens, got 0"),
    ("unipelt", {"rank": 0}, "rank, got 0"),
    ("fish-mask", {"examples": 0}, "examples, got 0"),
]


@pytest.mark.parametrize(("name", "parameters", "message"), BAD)
def test_bad_setting_is_explained(
    name: str, parameters: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidSpec, match=message):
        methods.get(name)(**parameters)


MISFITS: list[tuple[str, dict[str, Any], str]] = [
    (
        "compacter",
        {"n": 5, "bottleneck": 10},
        "hidden size of this llama model, is no mult",
    ),
    ("svft", {"diagonals": 17}, "16 singular values has 16 diagonals"),
    ("last-layers", {"layers": 3}, "choose at most 2"),
    ("ssf", {"target_modules": ["wq"]}, "no linear layer called wq"),
    ("ts-lora", {"target_modules": ["wq"]}, "no linear layer called wq"),
]


@pytest.mark.parametrize(("name", "parameters", "message"), MISFITS)
def test_setting_that_does_not_fit_the_model_is_explained(
    name: str, parameters: dict[str, Any], message: str
) -> None:
    method = methods.get(name)(**parameters)
    model = tiny_llama()
    with pytest.raises(InvalidSpec, match=message):
        method.trainable_parameters(Shapes.of(model))
    with pytest.raises(InvalidSpec, match=message):
        method.attach(model)
    methods.get("lora")().attach(model)  # the refusal left no mark


def test_more_directions_than_the_hidden_state_has_are_refused() -> None:
    with pytest.raises(ModelError, match="no 33 orthonormal rows fit"):
        methods.get("loreft")(rank=33).attach(tiny_llama())
