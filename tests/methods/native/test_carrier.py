"""Our adapters as `peft` carries them: opened by it, switched, stacked, merged and unmerged."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import peft
import pytest
import torch

from peftbench import methods
from peftbench.errors import InvalidSpec, ModelError
from peftbench.methods._native.method import NativeMethod
from peftbench.testing import tiny_llama

TOKENS = torch.tensor([[5, 9, 33, 7, 61, 20, 8, 14], [44, 3, 17, 25, 70, 6, 52, 11]])
NATIVE = [name for name in methods.names() if issubclass(methods.get(name), NativeMethod)]


def moved(adapted: Any, seed: int = 0) -> Any:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in adapted.parameters():
            if parameter.requires_grad:
                noise = torch.randn(parameter.shape, generator=generator)
                parameter.add_(0.1 * noise)
    return adapted.eval()


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model(input_ids=TOKENS).logits
    return found


def test_there_are_native_methods() -> None:
    assert len(NATIVE) >= 15


@pytest.mark.parametrize("name", NATIVE)
def test_peft_opens_the_folder(name: str, tmp_path: Path) -> None:
    method = methods.get(name)()
    adapted = moved(method.attach(tiny_llama()))
    method.save(adapted, tmp_path)
    opened = peft.PeftModel.from_pretrained(tiny_llama(), tmp_path)
    assert not any(p.requires_grad for p in opened.parameters())
    torch.testing.assert_close(logits(opened), logits(adapted))
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    assert config["peft_type"] == "PEFTBENCH"
    assert config["method"] == name


@pytest.mark.parametrize("name", NATIVE)
def test_peft_opens_the_folder_under_another_name_and_lazily(
    name: str, tmp_path: Path
) -> None:
    method = methods.get(name)()
    adapted = moved(method.attach(tiny_llama()))
    method.save(adapted, tmp_path)
    opened = peft.PeftModel.from_pretrained(
        tiny_llama(), tmp_path, adapter_name="other", low_cpu_mem_usage=True
    )
    torch.testing.assert_close(logits(opened), logits(adapted))


@pytest.mark.parametrize(
    ("order", "compiler"),
    [
        # Others ask whether peft is there long before it is imported.
        ("import peftbench, importlib.util; importlib.util.find_spec('peft'); import peft",
         False),
        ("import peft, peftbench", True),
    ],
)  # fmt: skip
def test_importing_peftbench_is_enough(order: str, compiler: bool, tmp_path: Path) -> None:
    """In a process of its own: nothing but the two imports, in either order; peft imports
    the compiler of torch where it comes first."""
    method = methods.get("ssf")()
    adapted = moved(method.attach(tiny_llama()))
    method.save(adapted, tmp_path)
    program = (
        f"{order}\n"
        "from peftbench.testing import tiny_llama\n"
        f"opened = peft.PeftModel.from_pretrained(tiny_llama(), {str(tmp_path)!r})\n"
        "print(type(opened.base_model).__name__)\n"
        "import os, sys; assert 'TORCHDYNAMO_DISABLE' not in os.environ\n"
        "print('torch._inductor.compile_fx' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert done.stdout.split() == ["NativeModel", str(compiler)]


def test_importing_peftbench_imports_no_peft() -> None:
    program = "import peftbench, sys; assert not {'peft', 'torch'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_two_adapters_act_alone_and_together(tmp_path: Path) -> None:
    """One carrier for all methods: adapters of different ones stack on one base."""
    for name in ("sequential-bottleneck", "adapterbias"):
        method = methods.get(name)()
        adapted = moved(method.attach(tiny_llama()), seed=len(name))
        method.save(adapted, tmp_path / name)
    alone = {
        name: logits(peft.PeftModel.from_pretrained(tiny_llama(), tmp_path / name))
        for name in ("sequential-bottleneck", "adapterbias")
    }
    both = peft.PeftModel.from_pretrained(
        tiny_llama(), tmp_path / "adapterbias", adapter_name="shift"
    )
    both.load_adapter(str(tmp_path / "sequential-bottleneck"), adapter_name="bottleneck")
    torch.testing.assert_close(logits(both), alone["adapterbias"])
    both.set_adapter("bottleneck")
    torch.testing.assert_close(logits(both), alone["sequential-bottleneck"])
    both.base_model.set_adapter(["shift", "bottleneck"])
    together = logits(both)
    assert all(float((together - one).abs().max()) > 1e-3 for one in alone.values())
    with both.disable_adapter():
        torch.testing.assert_close(logits(both), logits(tiny_llama()))
    both.delete_adapter("shift")
    torch.testing.assert_close(logits(both), alone["sequential-bottleneck"])


def test_a_place_inside_another_adapter_is_refused() -> None:
    adapted = methods.get("loreft")().attach(tiny_llama())
    config = methods.get("ssf")().config(adapted)
    with pytest.raises(ModelError, match="lie inside modules that an adapter is around"):
        adapted.add_adapter("second", config)


MERGEABLE = [name for name in NATIVE if methods.get(name).mergeable]


@pytest.mark.parametrize("name", MERGEABLE)
def test_unmerged_again_the_base_is_the_same_bit_for_bit(name: str) -> None:
    base = tiny_llama()
    weights = {n: p.detach().clone() for n, p in base.named_parameters()}
    adapted = moved(methods.get(name)().attach(base))
    before = logits(adapted)
    adapted.merge_adapter()
    torch.testing.assert_close(logits(adapted), before, atol=1e-4, rtol=1e-4)
    adapted.unmerge_adapter()
    assert torch.equal(logits(adapted), before)
    for n, p in adapted.unload().named_parameters():
        assert torch.equal(p, weights[n]), n


@pytest.mark.parametrize("name", [name for name in NATIVE if name not in MERGEABLE])
def test_peft_cannot_merge_what_depends_on_activations(name: str) -> None:
    adapted = moved(methods.get(name)().attach(tiny_llama()))
    before = logits(adapted)
    with pytest.raises(InvalidSpec, match="cannot be merged"):
        adapted.merge_and_unload()
    torch.testing.assert_close(logits(adapted), before)


def test_quantised_weights_are_refused_by_what_reads_them() -> None:
    from torch import nn

    from peftbench.methods._native import linear

    layer = nn.Linear(4, 4)
    layer.weight = nn.Parameter(torch.zeros(8, 1, dtype=torch.uint8), requires_grad=False)
    with pytest.raises(ModelError, match="are quantised"):
        linear.weight_of(layer)
