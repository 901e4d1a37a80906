"""A base model in memory: frozen, in the precision asked for, and watched."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from peftbench import methods
from peftbench.errors import ModelError
from peftbench.models import resolve
from peftbench.models._load import BaseModel, load
from peftbench.spec import ModelChoice


def loaded(folder: Path | str, dtype: str = "auto") -> BaseModel:
    return load(resolve(ModelChoice(name=str(folder))), dtype)


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        ("float32", torch.float32),
        ("bfloat16", torch.bfloat16),
        ("float16", torch.float16),
    ],
)
def test_weights_have_the_dtype_asked_for(dtype: str, expected: torch.dtype) -> None:
    base = loaded("tiny", dtype)
    assert {parameter.dtype for parameter in base.model.parameters()} == {expected}


def test_an_adapter_has_the_same_bytes_wherever_its_base_lies(tmp_path: Path) -> None:
    """`stored_bytes` differed with the path of the model."""
    saved = []
    for name in ("a", "a/much/longer/path/to/the/same/model"):
        folder = tmp_path / name
        shutil.copytree(resolve(ModelChoice(name="tiny")).location, folder)
        method = methods.get("lora")(rank=1)
        torch.manual_seed(1)
        method.save(method.attach(loaded(folder).model), out := folder / "adapter")
        saved.append({p.name: p.read_bytes() for p in out.iterdir() if p.is_file()})
    assert saved[0] == saved[1]
    assert "adapter_config.json" in saved[0]


@pytest.mark.skipif(torch.cuda.is_available(), reason="another rule holds on a GPU")
def test_auto_is_float32_on_a_cpu_whatever_the_files_hold() -> None:
    base = loaded("tiny")
    assert base.source.config["dtype"] == "bfloat16"
    assert {parameter.dtype for parameter in base.model.parameters()} == {torch.float32}


def test_the_base_is_frozen_and_in_evaluation_mode(folder: Path) -> None:
    base = loaded(folder)
    assert not any(parameter.requires_grad for parameter in base.model.parameters())
    assert not any(module.training for module in base.model.modules())
    assert base.tokenizer.pad_token_id is not None
    assert base.max_positions == 256


def test_an_untouched_base_is_intact() -> None:
    base = loaded("tiny")
    with torch.no_grad():
        base.model(input_ids=torch.arange(5, device=base.device)[None])
    assert base.is_intact()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_one_changed_weight_of_any_tensor_is_noticed(dtype: str) -> None:
    base = loaded("tiny", dtype)
    bits = {"float32": torch.int32, "bfloat16": torch.int16}[dtype]
    for name, parameter in base.model.named_parameters():
        at = (0,) * parameter.ndim
        before = parameter.data[at].clone()
        parameter.data.view(bits)[at] ^= 1
        assert not base.is_intact(), f"{name}: the last bit of a weight"
        parameter.data[at] = -before
        assert not base.is_intact(), f"{name}: a changed sign"
        parameter.data[at] = before
    assert base.is_intact()


def test_a_tensor_more_or_less_is_noticed(folder: Path) -> None:
    base = loaded(folder)
    layer = base.model.get_submodule("model.layers.0.self_attn.q_proj")
    layer.register_parameter("bias", torch.nn.Parameter(torch.ones(32)))
    assert not base.is_intact()


def test_a_truncated_weight_file_is_explained(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(ModelError, match="does not load as a causal language model"):
        loaded(folder)


def test_absent_tensors_are_not_made_up(folder: Path) -> None:
    """transformers fills them with random numbers and only warns."""
    file = folder / "model.safetensors"
    weights = load_file(file)
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, file, metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"lack 1 .*layers\.1\.mlp\.up_proj"):
        loaded(folder)


def test_weights_of_another_shape_are_explained(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"intermediate_size": 56}))
    with pytest.raises(ModelError, match="does not load as a causal language model"):
        loaded(folder)


def test_a_broken_tokenizer_is_explained(folder: Path) -> None:
    (folder / "tokenizer.json").write_text("{")
    with pytest.raises(ModelError, match=r"The tokenizer of .* does not load"):
        loaded(folder)


def test_an_unknown_model_type_is_explained(folder: Path) -> None:
    config = {"model_type": "nonesuch", "architectures": ["NonesuchForCausalLM"]}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match="nonesuch"):
        loaded(folder)


def test_code_that_comes_with_a_model_is_not_run(folder: Path, tmp_path: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    mark = tmp_path / "was run"
    (folder / "code.py").write_text(f"open({str(mark)!r}, 'w')")
    del config["model_type"]
    config["auto_map"] = {
        "AutoConfig": "code.Config",
        "AutoModelForCausalLM": "code.Model",
    }
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError):
        loaded(folder)
    assert not mark.exists()


STORIES = (
    "Once upon a time, there was a little girl named Lily. She loved to play outside in "
    "the park. One day, she saw a big, red ball."
)


def test_a_trained_model_writes_its_published_sample(
    trained: Callable[[str], Path],
) -> None:
    base = loaded(trained("stories260K"))
    assert (base.shapes.num_layers, base.shapes.kv_dim) == (5, 32)
    written = base.model.generate(
        input_ids=torch.tensor([[base.tokenizer.bos_token_id]], device=base.device),
        max_new_tokens=60,
        do_sample=False,
        pad_token_id=base.tokenizer.pad_token_id,
    )
    text = base.tokenizer.decode(written[0], skip_special_tokens=True)
    assert text.startswith(STORIES)
    assert base.is_intact()


DREAMS = "Echoes of vectors unfold, a gentle hum of precision."


@pytest.mark.parametrize(
    ("name", "text"), [("stories260K", STORIES), ("aidreams260K", DREAMS)]
)
def test_trained_models_predict_their_kind_of_text(
    name: str, text: str, trained: Callable[[str], Path]
) -> None:
    from transformers import AutoModelForCausalLM

    base = loaded(trained(name))
    torch.manual_seed(0)
    untrained = AutoModelForCausalLM.from_config(base.model.config).to(base.device)
    ids = torch.tensor([[1, *base.tokenizer.encode(text)]], device=base.device)
    with torch.no_grad():
        learnt, random = (
            float(model(input_ids=ids, labels=ids).loss)
            for model in (base.model, untrained)
        )
    assert learnt < 0.6 * random


def saved(folder: Path, model_type: str, **config: Any) -> Path:
    """A model of random weights with the embedded tokenizer."""
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    sizes = {
        "vocab_size": 1024, "hidden_size": 32, "intermediate_size": 48,
        "num_hidden_layers": 2, "num_attention_heads": 4,
    }  # fmt: skip
    torch.manual_seed(0)
    made = AutoConfig.for_model(model_type, **{**sizes, **config})
    AutoModelForCausalLM.from_config(made).save_pretrained(folder)
    tiny = resolve(ModelChoice(name="tiny")).location
    AutoTokenizer.from_pretrained(tiny).save_pretrained(folder)
    return folder


def test_a_model_that_sees_what_comes_later_is_refused(tmp_path: Path) -> None:
    folder = saved(tmp_path, "bert", initializer_range=0.3)
    with pytest.raises(
        ModelError, match="no causal language model: its logits change with"
    ):
        loaded(folder)
    loaded(saved(tmp_path, "bert", initializer_range=0.3, is_decoder=True))


def with_new_token(folder: Path, name: str) -> Path:
    """A token of the tokenizer becomes one that the model has no embedding of."""
    file = folder / "tokenizer_config.json"
    config = json.loads(file.read_text())
    file.write_text(json.dumps({**config, name: "<|far out|>"}))
    return folder


def test_a_pad_token_without_an_embedding_does_no_harm(tmp_path: Path) -> None:
    base = loaded(with_new_token(saved(tmp_path, "llama"), "pad_token"))
    assert base.tokenizer.pad_token_id == base.tokenizer.eos_token_id


def test_a_tokenizer_of_another_model_is_refused(tmp_path: Path) -> None:
    folder = with_new_token(saved(tmp_path, "llama"), "eos_token")
    with pytest.raises(ModelError, match=r"token of the end .* is number 1024, .* of 1024"):
        loaded(folder)
