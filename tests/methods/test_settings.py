"""Settings that make no sense are refused before any model is loaded."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from peftbench import methods
from peftbench.errors import InvalidSpec
from peftbench.models import Shapes
from peftbench.testing import tiny_llama

BAD: list[tuple[str, dict[str, Any], str]] = [
    ("lora", {"rank": 0}, "rank, got 0; try 4 to 64"),
    ("lora", {"rank": 8.5}, "rank, got 8.5"),
    ("lora", {"rank": True}, "rank, got True"),
    ("lora", {"alpha": -1}, "alpha, got -1"),
    ("lora", {"dropout": 1.0}, "dropout, got 1.0"),
    ("lora", {"dropout": "0.1"}, "dropout, got '0.1'"),
    ("lora", {"target_modules": "q_proj"}, r"did you mean \[q_proj\]"),
    ("lora", {"target_modules": []}, "list of different layer names"),
    ("lora", {"target_modules": ["q_proj", "q_proj"]}, "list of different layer names"),
    ("lora", {"target_modules": ["self_attn.q_proj"]}, "last part of a layer's name"),
    ("bitfit", {"target_modules": [1]}, "list of different layer names"),
    ("ia3", {"feedforward_modules": "down_proj"}, "list of different layer names"),
    ("ia3", {"target_modules": "all-linear"}, "list of different layer names"),
    (
        "ia3",
        {"target_modules": ["k_proj"], "feedforward_modules": ["down_proj"]},
        "down_proj is among feedforward_modules and not",
    ),
    ("prompt-tuning", {"num_virtual_tokens": 0}, "try 10 to 100"),
    ("p-tuning", {"encoder": "gru"}, "encoders mlp and lstm, got 'gru'"),
    ("p-tuning", {"encoder_hidden_size": None}, "encoder_hidden_size, got None"),
    ("prefix-tuning", {"projection_size": 0}, "null to train keys and values outright"),
]


@pytest.mark.parametrize(("name", "parameters", "message"), BAD)
def test_bad_setting_is_explained(
    name: str, parameters: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidSpec, match=message):
        methods.get(name)(**parameters)


@pytest.mark.parametrize("name", ["lora", "bitfit", "ia3"])
def test_unknown_layer_is_explained_with_the_known_ones(name: str) -> None:
    other = {"feedforward_modules": []} if name == "ia3" else {}
    method = methods.get(name)(target_modules=["wq"], **other)
    expected = (
        "this llama model has no linear layer called wq. Its layers are q_proj, k_proj"
    )
    with pytest.raises(InvalidSpec, match=expected):
        method.trainable_parameters(Shapes.of(tiny_llama()))
    model = tiny_llama()
    with pytest.raises(InvalidSpec, match=expected):
        method.attach(model)
    methods.get("lora")().attach(model)  # the refusal left no mark


@pytest.mark.parametrize("name", ["lora", "bitfit", "ia3"])
def test_model_without_linear_layers_is_explained(name: str) -> None:
    gpt2 = Shapes("gpt2", 96, 32, 2, 4, 4, 8, 1000, (), (64,))
    with pytest.raises(InvalidSpec, match="gpt2 model has none of type"):
        methods.get(name)().trainable_parameters(gpt2)


def test_lists_and_tuples_name_the_same_method() -> None:
    lora = methods.get("lora")
    assert lora(target_modules=["q_proj"]) == lora(target_modules=("q_proj",))
    assert lora(dropout=0).parameters() == lora().parameters()


def test_listing_methods_imports_no_torch() -> None:
    program = (
        "import sys; from peftbench import methods;"
        "[methods.get(name)() for name in methods.names()];"
        "assert not {'torch', 'peft', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
