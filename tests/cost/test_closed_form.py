"""The instant estimate of memory is within a third of the exact prediction."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from peftbench.cost import closed_form
from peftbench.cost.count import Inputs
from peftbench.cost.predict import model_without_data, predict
from peftbench.methods import get
from peftbench.models import Shapes, describe
from peftbench.spec import ModelChoice

TOLERANCE = 1 / 3
BATCH, LENGTH = 4, 128


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("tiny", "float32"),
        ("tiny", "bfloat16"),
        ("Qwen/Qwen2.5-0.5B", "float32"),
        ("meta-llama/Llama-3.1-8B", "bfloat16"),
        ("allenai/OLMo-2-0425-1B", "float32"),
        ("microsoft/Phi-4-mini-instruct", "bfloat16"),
    ],
)
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_memory(name: str, dtype: str, precision: Any) -> None:
    config = dict(describe(ModelChoice(name=name)).config)
    config["num_hidden_layers"] = min(3, config["num_hidden_layers"])
    config.pop("layer_types", None)
    shapes = Shapes.from_config(config)
    for method in ("bitfit", "lora", "qlora", "full"):
        for checkpointing, answers in ((False, None), (True, 8)):
            if method == "full" and checkpointing:
                continue  # it peaks in the optimiser either way
            fresh = partial(model_without_data, config, name=name, dtype=dtype)
            exact = predict(
                get(method)(),
                fresh,
                vocabulary=shapes.vocab_size,
                device="cpu",
                inputs=Inputs((1, 4), (BATCH, LENGTH), checkpointing, answers, precision),
            ).memory.total
            said = closed_form.peak_memory_bytes(
                shapes,
                get(method)(),
                batch=BATCH,
                length=LENGTH,
                answer_length=answers,
                weight_bytes=4 if dtype == "float32" else 2,
                gradient_checkpointing=checkpointing,
                precision=precision,
            )
            assert said == pytest.approx(exact, rel=TOLERANCE), (method, checkpointing)
