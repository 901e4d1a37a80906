"""A method that cannot be put on a model is refused before anything runs, with the reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from peftbench import methods
from peftbench.errors import InvalidSpec
from peftbench.models import Shapes, resolve
from peftbench.planning.attachment import check_attachment
from peftbench.planning.plan import make_plan
from peftbench.spec import MethodChoice, ModelChoice, from_mapping

V: dict[str, Any] = {
    "vocab_size": 8000,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
SIZES: dict[str, Any] = {
    **V, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 256,
}  # fmt: skip
MODELS: dict[str, dict[str, Any]] = {
    "mamba": {**V, "hidden_size": 32, "num_hidden_layers": 2, "state_size": 8},
    "falcon": {
        **V, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
        "multi_query": True, "alibi": False, "new_decoder_architecture": False,
    },
    "qwen3_moe": {
        **SIZES, "head_dim": 16, "num_experts": 4, "num_experts_per_tok": 2,
        "moe_intermediate_size": 24,
    },
    "deepseek_v3": {
        **SIZES, "num_key_value_heads": 4, "n_routed_experts": 4, "num_experts_per_tok": 2,
        "n_group": 1, "topk_group": 1, "moe_intermediate_size": 24, "kv_lora_rank": 16,
        "q_lora_rank": 24, "qk_rope_head_dim": 8, "qk_nope_head_dim": 8, "v_head_dim": 16,
        "first_k_dense_replace": 1, "n_shared_experts": 1,
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Folders of models of these types, with random weights and the embedded tokenizer."""
    where = tmp_path_factory.mktemp("models")

    def made(model_type: str) -> Path:
        out: Path = where / model_type
        if not out.is_dir():
            torch.manual_seed(0)
            config = AutoConfig.for_model(model_type, **MODELS[model_type])
            AutoModelForCausalLM.from_config(config).save_pretrained(out)
            tiny = resolve(ModelChoice(name="tiny")).location
            AutoTokenizer.from_pretrained(tiny).save_pretrained(out)
        return out

    return made


def check(folder: Path, *names: str) -> None:
    built = [(MethodChoice(name=name), methods.get(name)()) for name in names]
    check_attachment("m", resolve(ModelChoice(name=str(folder))), built)


@pytest.mark.parametrize(
    ("model_type", "works", "fails", "reason"),
    [
        ("mamba", ("bitfit", "full"), ("lora", "prefix-tuning"), "incompatible with Mamba"),
        (
            "falcon",
            ("lora", "prompt-tuning"),
            ("prefix-tuning",),
            "Sizes of tensors must match",
        ),
        (
            "deepseek_v3",
            ("vera", "bitfit"),
            ("lora", "pissa"),
            "it would train 10,|has no attrib",
        ),
    ],
)
def test_what_does_not_work_is_named_and_all_else_is_not(
    model_type: str, works: Any, fails: Any, reason: str, folder: Any
) -> None:
    check(folder(model_type), *works)
    with pytest.raises(InvalidSpec, match=reason) as refused:
        check(folder(model_type), *works, *fails)
    said = str(refused.value)
    assert said.startswith(
        f"{', '.join(fails)} cannot adapt m, a model of type {model_type};"
    )
    assert not any(f"\n  {name}:" in said for name in works)


def test_a_plan_is_refused_before_anything_is_loaded(folder: Any) -> None:
    spec = {
        "name": "b", "models": [str(folder("mamba"))], "methods": ["bitfit", "prefix-tuning"],
        "tasks": ["generated_mood"],
    }  # fmt: skip
    with pytest.raises(InvalidSpec, match=r"^prefix-tuning cannot adapt .*/mamba"):
        make_plan(from_mapping(spec, "a test"))


@pytest.mark.parametrize("name", ["lora", "dora", "pissa", "vera", "adalora"])
def test_experts_and_router_stay_frozen(name: str, folder: Any) -> None:
    """So that a budget is kept: `peft` means them by "all-linear"."""
    check(folder("qwen3_moe"), name)
    model = AutoModelForCausalLM.from_pretrained(folder("qwen3_moe"))
    method = methods.get(name)()
    planned = method.trainable_parameters(Shapes.of(model))
    adapted = method.attach(model)
    trained = {n: p.numel() for n, p in adapted.named_parameters() if p.requires_grad}
    assert sum(trained.values()) == planned
    assert not [name for name in trained if "mlp" in name]


def test_types_that_the_conformance_kit_tries_need_no_trial(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from peftbench.planning import attachment

    monkeypatch.setattr(attachment, "_problem", lambda *_args, **_named: "not to be asked")
    built = [(MethodChoice(name="lora"), methods.get("lora")())]
    check_attachment("tiny", resolve(ModelChoice(name="tiny")), built)
