"""The suite with PEFT-Bench's own settings trains what PEFT-Bench says it trains."""

from __future__ import annotations

import torch

from peftbench import published
from peftbench.methods import PeftMethod
from peftbench.methods._build import build
from peftbench.models import Shapes
from peftbench.spec import read_benchmark

LLAMA_3_8B = {
    "model_type": "llama",
    "vocab_size": 128256,
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "tie_word_embeddings": False,
}


def test_it_names_every_published_task_and_the_protocol() -> None:
    suite = read_benchmark("peft-bench-published")
    assert suite.protocol == "peft-bench"
    assert set(suite.tasks) == set(published.read("peft-bench-v1").tasks)
    assert suite.seeds == (42, 123, 456, 789, 101112)


def test_trained_parameters_are_the_published_ones() -> None:
    """All but P-tuning's: the published number is of an LSTM that its training does not use."""
    shapes = Shapes.from_config(LLAMA_3_8B)
    table = published.read("peft-bench-v1")
    for choice in read_benchmark("peft-bench-published").methods:
        method = build(choice)
        if not method.trains:
            continue
        assert isinstance(method, PeftMethod)
        found = method.trainable_parameters(shapes)
        stated = table.methods[choice.label].trainable_parameters
        assert found == (7_296_512 if choice.label == "p-tuning" else stated), choice.label


def test_ia3_as_published_scales_the_output_of_the_mlp() -> None:
    from peft import IA3Config, get_peft_model
    from transformers import LlamaConfig, LlamaForCausalLM

    with torch.device("meta"):
        model = LlamaForCausalLM(LlamaConfig(**{**LLAMA_3_8B, "num_hidden_layers": 1}))
        config = IA3Config(
            target_modules=["k_proj", "v_proj", "down_proj"],
            feedforward_modules="down_proj",
        )
        counted = get_peft_model(model, config).get_nb_trainable_parameters()[0]
    assert 32 * counted == 196_608
