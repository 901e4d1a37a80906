"""Golden FLOPs of Llama 3 8B on one input of 512 tokens, without its weights.

The published table of PEFT-Bench (arXiv:2511.21285) has 8.38 TFLOPs for the base model:
its profiler charged every multiplication of a vector with a matrix as a matrix product.
The right number is 7.822, of which 7.685 are products with weights and 0.137 attention.
"""

from __future__ import annotations

from typing import Any

import pytest

from peftbench import methods
from peftbench.cost.count import Inputs, forward_flops
from peftbench.cost.flops import Flops
from peftbench.cost.predict import model_without_data
from peftbench.cost.without_data import without_data
from peftbench.models import shipped

NAME = "meta-llama/Meta-Llama-3-8B-Instruct"


@pytest.fixture(scope="module")
def read() -> Any:
    config = shipped()[NAME].config
    model = model_without_data(config, name=NAME, dtype="bfloat16")

    def forward(name: str, **settings: Any) -> Flops:
        with without_data("cpu"):
            method = methods.get(name)(**settings)
            return forward_flops(method, model, config["vocab_size"], Inputs())

    return forward


def test_base(read: Any) -> None:
    flops = read("base")
    assert flops.total / 1e12 == pytest.approx(7.822, abs=0.0005)
    assert flops.linear / 1e12 == pytest.approx(7.685, abs=0.0005)
    assert flops.attention / 1e12 == pytest.approx(0.137, abs=0.0005)


def test_lora_unmerged(read: Any) -> None:
    targets = ("k_proj", "v_proj", "down_proj")
    total = read("lora", rank=16, alpha=32, target_modules=targets).total
    assert total / 1e12 == pytest.approx(7.8375, abs=0.0005)
    assert total - read("base").total == 2 * 512 * 14_680_064, "two small products each"


@pytest.mark.parametrize("name", ["ia3", "ln-tuning"])
def test_scaling_a_vector_is_no_product(read: Any, name: str) -> None:
    assert read(name).total / 1e12 == pytest.approx(7.822, abs=0.001)


def test_prompt_tuning_reads_100_tokens_more(read: Any) -> None:
    total = read("prompt-tuning", num_virtual_tokens=100).total
    assert total / 1e12 == pytest.approx(9.382, abs=0.0005)


def test_p_tuning_counts_the_products_of_its_lstm(read: Any) -> None:
    """Four gates, of input and state, in two layers of two directions, and the two
    linear layers behind them, for each of the 100 virtual tokens."""
    settings = {"num_virtual_tokens": 100, "encoder": "lstm", "encoder_hidden_size": 768}
    total = read("p-tuning", **settings).total
    assert 9.39 < total / 1e12 < 9.41
    d, h = 4096, 768
    network = 2 * 4 * h * (d + h) + 2 * 4 * h * (2 * h + h) + 2 * h * 2 * h + 2 * h * d
    prompt = read("prompt-tuning", num_virtual_tokens=100).total
    assert total - prompt == 2 * 100 * network
