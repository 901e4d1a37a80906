"""Saved adapters are ordinary `peft` folders, the same bytes every time."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from transformers import AutoModelForCausalLM

from peftbench import methods
from peftbench.methods import PeftMethod
from peftbench.testing import tiny_llama

TOKENS = torch.tensor([[5, 9, 33, 7, 61, 20, 8, 14]])
PEFT_METHODS = [n for n in methods.names() if issubclass(methods.get(n), PeftMethod)]

#: Adapters that peft alone cannot run on the base as it is, and why.
NOT_BY_PEFT_ALONE = {
    "lily": "peft averages the router over a batch; here every token has its own mixture",
    "loftq": "it needs the quantised base, which peft makes on a GPU only",
    "qlora": "it needs a base loaded in 4 bits",
    "x-lora": "peft looks for its experts from the current folder; see test_x_lora.py",
}
#: What peft wants to be told on top of the input.
TOLD = {name: {"task_ids": torch.zeros(1, dtype=torch.long)} for name in ("mpt", "poly")}


def test_what_peft_cannot_run_alone_exists() -> None:
    assert {*NOT_BY_PEFT_ALONE, *TOLD} <= set(PEFT_METHODS)


def moved(adapted: Any) -> Any:
    """`adapted` with every trained number moved, as if it had been trained."""
    with torch.no_grad():
        for parameter in adapted.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn_like(parameter))
    return adapted.eval()


@pytest.mark.parametrize("name", PEFT_METHODS)
def test_peft_opens_what_was_saved(name: str, tmp_path: Path) -> None:
    method = methods.get(name)()
    adapted = moved(method.attach(tiny_llama()))
    method.save(adapted, tmp_path)
    if name in NOT_BY_PEFT_ALONE:
        return
    opened = peft.PeftModel.from_pretrained(tiny_llama(), str(tmp_path))
    torch.testing.assert_close(
        opened(TOKENS, **TOLD.get(name, {})).logits,
        adapted(TOKENS).logits,
        atol=1e-4,
        rtol=1e-4,
    )


@pytest.mark.parametrize("name", methods.names())
def test_saving_and_loading_ask_no_hub(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("tried to reach the network")

    model = tiny_llama()
    model.name_or_path = "owner/model"  # looks like a hub id
    method = methods.get(name)()
    monkeypatch.setattr(socket.socket, "connect", refuse)
    method.save(method.attach(model), tmp_path)
    method.load(tiny_llama(), tmp_path)
    assert model.name_or_path == "owner/model"


@pytest.mark.parametrize("name", methods.names())
def test_no_file_but_weights_and_configs(name: str, tmp_path: Path) -> None:
    method = methods.get(name)()
    method.save(method.attach(tiny_llama()), tmp_path)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} <= {".json", ".safetensors"}


def test_target_modules_are_saved_in_one_order(tmp_path: Path) -> None:
    method = methods.get("lora")(target_modules=["v_proj", "q_proj", "down_proj"])
    method.save(method.attach(tiny_llama()), tmp_path)
    saved = json.loads((tmp_path / "adapter_config.json").read_text())
    assert saved["target_modules"] == ["down_proj", "q_proj", "v_proj"]


def test_transformers_opens_a_fully_fine_tuned_model(tmp_path: Path) -> None:
    method = methods.get("full")()
    adapted = moved(method.attach(tiny_llama()))
    method.save(adapted, tmp_path)
    opened = AutoModelForCausalLM.from_pretrained(tmp_path)
    torch.testing.assert_close(opened(TOKENS).logits, adapted(TOKENS).logits)


def test_full_fine_tuning_of_another_model_is_refused(tmp_path: Path) -> None:
    from peftbench.errors import ModelError

    method = methods.get("full")()
    method.save(method.attach(tiny_llama()), tmp_path)
    with pytest.raises(ModelError, match="of another model"):
        method.load(tiny_llama(hidden_size=64), tmp_path)
