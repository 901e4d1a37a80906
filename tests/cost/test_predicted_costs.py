"""What is predicted without weights is what the meter reads with them."""

from __future__ import annotations

import importlib.util
import json
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, PreTrainedModel

from peftbench import methods
from peftbench.cost import holes
from peftbench.cost.count import Counted, Inputs, count
from peftbench.cost.predict import model_without_data, predict
from peftbench.cost.without_data import without_data
from peftbench.errors import ModelError
from peftbench.models._device import Device
from peftbench.testing import tiny_llama

INPUTS = Inputs(inference=(1, 12), training=(2, 16))
VOCABULARY = 96

#: Methods that look at numbers when they are attached or trained; all others are predicted.
NEED_NUMBERS = {"adamss", "fish-mask", "frod", "shira"}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> PreTrainedModel:
    folder = tmp_path_factory.mktemp("model")
    tiny_llama().save_pretrained(folder)
    loaded: PreTrainedModel = AutoModelForCausalLM.from_pretrained(folder)
    return loaded.requires_grad_(False).eval()


def read(
    base: PreTrainedModel, name: str, *, inputs: Inputs = INPUTS, **settings: Any
) -> Counted:
    return count(methods.get(name)(**settings), base, VOCABULARY, inputs)


def say(
    base: PreTrainedModel,
    name: str,
    device: Device = "cpu",
    dtype: str = "float32",
    *,
    inputs: Inputs = INPUTS,
    **settings: Any,
) -> Counted:
    config = json.loads((Path(base.name_or_path) / "config.json").read_text("utf-8"))
    fresh = partial(model_without_data, config, name=base.name_or_path, dtype=dtype)
    method = methods.get(name)(**settings)
    return predict(method, fresh, vocabulary=VOCABULARY, device=device, inputs=inputs)


@pytest.mark.parametrize("name", sorted(set(methods.names()) - NEED_NUMBERS))
def test_predicted_equals_measured(base: PreTrainedModel, name: str) -> None:
    """Parameters and bytes exactly, FLOPs within 1 %, memory within 5 %."""
    if reason := methods.get(name).unsupported.get("llama"):
        pytest.skip(reason)
    seen, said = read(base, name), say(base, name)
    assert said.trainable_parameters == seen.trainable_parameters
    assert said.head_parameters == seen.head_parameters
    assert said.stored_bytes == seen.stored_bytes
    assert said.serve_bytes == seen.serve_bytes
    assert said.forward_flops.total == pytest.approx(seen.forward_flops.total, rel=0.01)
    expected = pytest.approx(seen.training_step_flops.total, rel=0.01)
    assert said.training_step_flops.total == expected
    assert said.memory.total == pytest.approx(seen.memory.total, rel=0.05)
    assert said.memory.gradients == seen.memory.gradients
    assert said.memory.optimizer == pytest.approx(seen.memory.optimizer, rel=0.01)


@pytest.mark.parametrize("recomputes", [False, True])
@pytest.mark.parametrize("name", ["lora", "ia3", "full", "prompt-tuning"])
def test_precision_changes_predicted_memory_as_it_changes_measured_memory(
    base: PreTrainedModel, name: str, recomputes: bool
) -> None:
    """Autocast keeps 16-bit activations, and 16-bit copies of the weights."""
    seen, said = {}, {}
    for precision in ("float32", "bfloat16"):
        inputs = replace(INPUTS, gradient_checkpointing=recomputes, precision=precision)
        seen[precision], said[precision] = (
            f(base, name, inputs=inputs) for f in (read, say)
        )
        expected = seen[precision].memory
        assert said[precision].memory.total == pytest.approx(expected.total, rel=0.005)
    for found in (seen, said):
        totals = {precision: one.memory.total for precision, one in found.items()}
        assert totals["float32"] != totals["bfloat16"]
        flops = {one.training_step_flops.total for one in found.values()}
        assert len(flops) == 1, "the same products in another precision"


def test_weights_in_4_bits_take_less_room_and_as_many_products(
    base: PreTrainedModel,
) -> None:
    say(base, "qlora")  # without numbers: it leaves nothing behind for those with
    whole, packed = read(base, "lora"), read(base, "qlora")
    assert packed.forward_flops.total == whole.forward_flops.total
    assert packed.training_step_flops.total == whole.training_step_flops.total
    assert packed.memory.weights < 0.6 * whole.memory.weights
    assert packed.serve_bytes > whole.serve_bytes, "another copy of the base, in 4 bits"


@pytest.mark.parametrize("name", sorted(NEED_NUMBERS & set(methods.names())))
def test_what_needs_numbers_says_so(base: PreTrainedModel, name: str) -> None:
    with pytest.raises(ModelError, match="measure it where they are"):
        say(base, name)


@pytest.mark.parametrize("name", ["base", "full", "lora", "prefix-tuning"])
def test_both_devices_can_be_predicted(base: PreTrainedModel, name: str) -> None:
    cpu, cuda = (say(base, name, device, "bfloat16") for device in ("cpu", "cuda"))
    assert cpu.forward_flops.total == cuda.forward_flops.total
    assert cpu.stored_bytes == cuda.stored_bytes
    assert 0.5 < cuda.memory.total / cpu.memory.total < 2, "the same step, by other kernels"


def test_an_lstm_is_counted_alike_by_its_kernel_and_by_its_parts(
    base: PreTrainedModel,
) -> None:
    settings = {"num_virtual_tokens": 5, "encoder": "lstm", "encoder_hidden_size": 32}
    seen, said = (f(base, "p-tuning", **settings) for f in (read, say))
    assert said.forward_flops.total == seen.forward_flops.total
    expected = pytest.approx(seen.training_step_flops.total, rel=0.01)
    assert said.training_step_flops.total == expected


def test_a_file_with_a_hole_has_the_size_of_one_with_numbers(tmp_path: Path) -> None:
    tensors = {
        "b": torch.zeros(3, 5),
        "a.ü": torch.zeros(7, dtype=torch.bfloat16),
        "c": torch.zeros(2, 2, dtype=torch.int64),
        "mask": torch.zeros(5, dtype=torch.bool),
        "scalar": torch.tensor(1.0),
    }
    for metadata in (None, {"format": "pt"}):
        save_file(tensors, tmp_path / "full", metadata=metadata)
        holes.save_file(tensors, tmp_path / "hole", metadata)
        full, hole = (tmp_path / name for name in ("full", "hole"))
        assert hole.stat().st_size == full.stat().st_size
        length = int.from_bytes(full.read_bytes()[:8], "little")
        assert hole.read_bytes()[: 8 + length] == full.read_bytes()[: 8 + length]
    shapes = holes.load_file(tmp_path / "full")
    assert {name: (t.shape, t.dtype) for name, t in shapes.items()} == {
        name: (t.shape, t.dtype) for name, t in tensors.items()
    }


def test_nothing_stays_patched(base: PreTrainedModel) -> None:
    from torch.nn import functional

    def patched() -> tuple[Any, ...]:
        return (
            functional.scaled_dot_product_attention,
            safetensors.torch.save_file,
            torch.linalg.svd,
            torch.Tensor.cpu,
        )

    before = patched()
    say(base, "lora")
    assert patched() == before


def test_an_unknown_type_is_explained() -> None:
    with pytest.raises(ModelError, match="no causal language model of type 'nonesuch'"):
        model_without_data({"model_type": "nonesuch"}, name="x", dtype="float32")


def test_what_is_imported_without_data_reads_files_afterwards(tmp_path: Path) -> None:
    (tmp_path / "peft_of_late.py").write_text("from safetensors.torch import load_file\n")
    module = "peft.of_late"
    spec = importlib.util.spec_from_file_location(module, tmp_path / "peft_of_late.py")
    assert spec
    assert spec.loader
    late = importlib.util.module_from_spec(spec)
    with without_data("cpu"):
        sys.modules[module] = late
        spec.loader.exec_module(late)
    try:
        assert late.load_file is safetensors.torch.load_file
        safetensors.torch.save_file({"x": torch.ones(2)}, tmp_path / "x.safetensors")
        assert late.load_file(tmp_path / "x.safetensors")["x"].tolist() == [1.0, 1.0]
    finally:
        del sys.modules[module]
