"""Shipped configs are facts: the parameters that follow from them are the published ones."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from peftbench.errors import ModelError
from peftbench.models import ModelFacts, Shapes, describe, shipped
from peftbench.spec import ModelChoice

FACTS = list({id(facts): facts for facts in shipped().values()}.values())


@pytest.mark.parametrize("facts", FACTS, ids=lambda facts: facts.names[0])
def test_parameters_are_the_published_ones_on_both_ways(facts: ModelFacts) -> None:
    shapes = Shapes.from_config(facts.config)
    assert shapes.parameters == facts.parameters
    assert Shapes.from_meta_model(facts.config) == shapes


def test_the_models_people_benchmark_are_there_in_several_sizes() -> None:
    sizes: dict[str, set[int]] = {}
    for facts in FACTS:
        sizes.setdefault(facts.config["model_type"], set()).add(facts.parameters)
    families = {
        "llama",
        "qwen2",
        "qwen3",
        "mistral",
        "gemma2",
        "gemma3_text",
        "phi3",
        "olmo2",
    }
    assert families <= sizes.keys()
    assert all(len(sizes[family]) >= 2 for family in families)
    assert "meta-llama/Meta-Llama-3-8B-Instruct" in shipped()


def test_every_name_is_a_hub_id_and_stands_in_one_file() -> None:
    names = [name for facts in FACTS for name in facts.names]
    assert len(names) == len(set(names)) == len(shipped())
    for facts in FACTS:
        assert all(name.count("/") == 1 for name in facts.names)
        assert (
            facts.source == f"https://huggingface.co/{facts.names[0]}/blob/main/config.json"
        )
        assert facts.parameters_source


def test_a_shipped_config_needs_no_hub_and_a_folder_no_weights(tmp_path: Path) -> None:
    found = describe(ModelChoice(name="meta-llama/Meta-Llama-3-8B-Instruct"))
    assert found.config["num_hidden_layers"] == 32
    assert found.identity.startswith("config:")
    (tmp_path / "config.json").write_text('{"model_type": "llama"}', "utf-8")
    assert describe(ModelChoice(name=str(tmp_path))).config == {"model_type": "llama"}
    with pytest.raises(ModelError, match="without revisions"):
        describe(ModelChoice(name="Qwen/Qwen3-0.6B", revision="main"))


def test_reading_the_facts_imports_no_torch() -> None:
    program = (
        "import sys; from peftbench.models import Shapes, shipped;"
        "[Shapes.from_config(facts.config) for facts in shipped().values()];"
        "assert not {'torch', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
