"""The pure parts of recipes/redundancy/probe.py: a budget of modules, and LoRA on them."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

from peftbench.methods._from_config import FromConfig
from peftbench.spec import ModelChoice
from peftbench.testing import tiny_llama

ROOT = Path(__file__).parents[1]


def probe() -> Any:
    spec = importlib.util.spec_from_file_location(
        "probe", ROOT / "recipes" / "redundancy" / "probe.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_what_does_not_fit_a_budget_is_passed_over() -> None:
    sizes = {"a": 2, "b": 5, "c": 1, "d": 2}
    assert probe().within(["a", "b", "c", "d"], sizes, 5) == ["a", "c", "d"]
    assert probe().within(["b", "a"], sizes, 4) == ["a"]
    assert probe().within(["b"], sizes, 4) == []


def test_sizes_are_those_that_lora_trains() -> None:
    model = ModelChoice(name="tiny")
    sizes = probe().module_sizes(model, rank=8)
    assert sum(sizes.values()) == 141_312  # of lora's card on this model


def test_its_config_adapts_just_the_modules_that_are_named(tmp_path: Path) -> None:
    names = ["model.layers.0.mlp.up_proj", "model.layers.1.self_attn.q_proj"]
    settings = {"rank": 2, "alpha": 4, "dropout": 0.0}
    file = tmp_path / "density.json"
    file.write_text(json.dumps(probe().lora_config(settings, names)))
    adapted = FromConfig.read(str(file), {}).attach(tiny_llama())
    trained = {name for name, p in adapted.named_parameters() if p.requires_grad}
    assert {
        name.split(".lora_")[0].removeprefix("base_model.model.") for name in trained
    } == {*names}
