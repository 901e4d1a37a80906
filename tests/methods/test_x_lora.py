"""X-LoRA with finished experts: found, frozen, mixed, and refused where they do not fit."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import peft
import pytest
import torch

from peftbench import methods
from peftbench.errors import InvalidSpec, ModelError
from peftbench.methods import Method
from peftbench.methods._build import build, cell_method, rebuild
from peftbench.methods._finished import FinishedAdapter
from peftbench.models import Shapes
from peftbench.spec import MethodChoice
from peftbench.testing import tiny_llama

TOKENS = torch.tensor([[5, 9, 33, 7, 61, 20, 8, 14]])


def expert(folder: Path, seed: int, name: str = "lora", **settings: Any) -> str:
    """A LoRA adapter that changes something."""
    torch.manual_seed(seed)
    method = methods.get(name)(**settings)
    adapted = method.attach(tiny_llama())
    with torch.no_grad():
        for key, parameter in adapted.named_parameters():
            if "lora_B" in key:
                parameter.normal_(std=0.1)
    method.save(adapted, folder)
    return str(folder)


@pytest.fixture(scope="module")
def experts(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    folder = tmp_path_factory.mktemp("experts")
    return tuple(expert(folder / f"{seed}", seed, rank=2) for seed in range(3))


def x_lora(*adapters: str, **settings: Any) -> Method:
    kind: Any = methods.get("x-lora")
    method: Method = kind(adapters=adapters, **settings)
    return method


def test_the_router_alone_is_trained(experts: tuple[str, ...]) -> None:
    method = x_lora(*experts)
    adapted = method.attach(tiny_llama()).train()
    trained = {name: p for name, p in adapted.named_parameters() if p.requires_grad}
    assert all("internal_xlora_classifier" in name for name in trained)
    frozen = {
        n: p.clone()
        for n, p in adapted.named_parameters()
        if ".lora_A." in n or ".lora_B." in n
    }
    assert len(frozen) == 2 * 3 * 14
    optimizer = torch.optim.SGD(trained.values(), lr=1.0)
    before = {name: p.clone() for name, p in trained.items()}
    adapted(input_ids=TOKENS, use_cache=False).logits[..., 3].sum().backward()
    optimizer.step()
    assert all(not torch.equal(p, before[name]) for name, p in trained.items())
    after = dict(adapted.named_parameters())
    assert all(torch.equal(after[name], tensor) for name, tensor in frozen.items())


def test_equal_weights_give_the_mean_of_the_experts(experts: tuple[str, ...]) -> None:
    """A router of zeros weighs all alike: the update is the mean of the updates."""
    adapted: Any = x_lora(*experts).attach(tiny_llama()).eval()
    for parameter in adapted.base_model.internal_xlora_classifier.parameters():
        torch.nn.init.zeros_(parameter)
    mean = tiny_llama()
    parts = [torch_file(path) for path in experts]
    with torch.no_grad():
        for key in parts[0]:
            if "lora_A" in key:
                layer = key.removeprefix("base_model.model.").removesuffix(".lora_A.weight")
                other = key.replace("lora_A", "lora_B")
                update = (
                    sum(part[other] @ part[key] for part in parts) * 16 / 2 / len(parts)
                )
                mean.get_submodule(layer).weight += update
        expected = mean(input_ids=TOKENS).logits
        found = adapted(input_ids=TOKENS, use_cache=False).logits
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def torch_file(path: str) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(Path(path) / "adapter_model.safetensors")


def test_it_counts_and_saves_the_experts_it_was_made_of(
    experts: tuple[str, ...], tmp_path: Path
) -> None:
    method = x_lora(*experts)
    adapted = method.attach(tiny_llama()).eval()
    shapes = Shapes.of(tiny_llama())
    counted = sum(p.numel() for p in adapted.parameters() if p.requires_grad)
    assert method.trainable_parameters(shapes) == counted
    method.save(adapted, tmp_path)
    files = tmp_path.rglob("*.safetensors")
    stored = sum(t.numel() for f in files for t in torch_file(str(f.parent)).values())
    assert method.stored_parameters(shapes) == stored
    loaded = method.load(tiny_llama(), tmp_path)
    assert not any(p.requires_grad for p in loaded.parameters())
    with torch.no_grad():
        pair = [m(input_ids=TOKENS, use_cache=False).logits for m in (adapted, loaded)]
    torch.testing.assert_close(*pair)
    assert not any(p.requires_grad for p in loaded.parameters()), "nor after a forward pass"


def test_peft_opens_it_from_its_folder(
    experts: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    method = x_lora(*experts)
    adapted = method.attach(tiny_llama()).eval()
    method.save(adapted, tmp_path)
    base = tiny_llama()
    base.config.use_cache = False  # or peft refuses
    monkeypatch.chdir(tmp_path)
    opened = peft.PeftModel.from_pretrained(base, ".")
    with torch.no_grad():
        pair = [m(input_ids=TOKENS, use_cache=False).logits for m in (opened, adapted)]
    torch.testing.assert_close(*pair)


def test_a_weight_belongs_to_its_token(experts: tuple[str, ...]) -> None:
    """What comes later, or beside it in a batch, moves no earlier logits."""
    adapted = x_lora(*experts).attach(tiny_llama()).eval()
    other = TOKENS.flip(1)
    with torch.no_grad():
        alone = adapted(input_ids=TOKENS[:, :5], use_cache=False).logits
        both = adapted(input_ids=torch.cat([TOKENS, other]), use_cache=False).logits
    torch.testing.assert_close(both[:1, :5], alone, atol=1e-5, rtol=1e-5)


def test_experts_that_do_not_fit_are_refused_before_a_model_is_loaded(
    experts: tuple[str, ...], tmp_path: Path
) -> None:
    with pytest.raises(InvalidSpec, match="2 to 10 experts, got 1"):
        x_lora(experts[0])
    with pytest.raises(InvalidSpec, match="No LoRA adapter in"):
        x_lora(experts[0], str(tmp_path / "none"))
    with pytest.raises(InvalidSpec, match="is IA3"):
        x_lora(experts[0], expert(tmp_path / "ia3", 0, "ia3"))
    with pytest.raises(InvalidSpec, match="more than that by its use_dora"):
        x_lora(experts[0], expert(tmp_path / "dora", 0, "dora"))
    for start in ("pissa", "lora_ga"):
        with pytest.raises(InvalidSpec, match="init_lora_weights"):
            x_lora(experts[0], started_from_the_base(tmp_path / start, start))
    with pytest.raises(InvalidSpec, match="of the same layers"):
        x_lora(experts[0], expert(tmp_path / "v", 0, target_modules=["v_proj"]))
    with pytest.raises(InvalidSpec, match="got 1; change num_experts"):
        x_lora(num_experts=1)
    with pytest.raises(InvalidSpec, match="got 11; change num_experts"):
        x_lora(num_experts=11)


def started_from_the_base(folder: Path, start: str) -> str:
    """A config that takes a part of the base's weights out when it is loaded."""
    path = Path(expert(folder, 0))
    config = json.loads((path / "adapter_config.json").read_text())
    (path / "adapter_config.json").write_text(
        json.dumps(config | {"init_lora_weights": start})
    )
    return str(path)


def test_experts_of_another_base_are_refused_by_the_shapes_alone(
    experts: tuple[str, ...],
) -> None:
    for other in ({"intermediate_size": 40}, {"num_hidden_layers": 1}):
        shapes = Shapes.of(tiny_llama(**other))
        with pytest.raises(InvalidSpec, match="of another model"):
            x_lora(*experts).trainable_parameters(shapes)


def test_it_says_of_finished_experts_what_holds_for_them(experts: tuple[str, ...]) -> None:
    assert not x_lora(*experts).identity_at_start
    assert x_lora(*experts).budget_knob is None
    assert x_lora().identity_at_start
    assert x_lora().budget_knob == "rank"


def test_the_identity_is_what_the_experts_hold_and_not_where(
    experts: tuple[str, ...], tmp_path: Path
) -> None:
    copies = [shutil.copytree(path, tmp_path / str(k)) for k, path in enumerate(experts)]
    here = build(MethodChoice(name="x-lora", parameters={"adapters": list(experts)}))
    there = build(
        MethodChoice(
            name="x-lora", parameters={"adapters": {p.name: str(p) for p in copies}}
        )
    )
    assert here.parameters() == there.parameters()
    cells = [cell_method(MethodChoice(name="x-lora"), one) for one in (here, there)]
    assert cells[0].model_dump() == cells[1].model_dump()
    again = rebuild(cells[1])
    assert again.location == there.location
    assert again.parameters() == there.parameters()


def test_a_kept_one_is_an_adapter_that_can_be_scored_again(
    experts: tuple[str, ...], tmp_path: Path
) -> None:
    method = x_lora(*experts)
    adapted = method.attach(tiny_llama()).eval()
    method.save(adapted, tmp_path / "kept")
    finished = FinishedAdapter.find(str(tmp_path / "kept"))
    assert "0/adapter_model.safetensors" in finished.files
    with torch.no_grad():
        kept = adapted(input_ids=TOKENS, use_cache=False).logits
    finished.save(adapted, tmp_path / "copy")
    (tmp_path / "copy" / "peftbench.json").write_text(about(method))
    for folder in ("kept", "copy"):
        found = FinishedAdapter.find(str(tmp_path / folder))
        loaded = found.attach(tiny_llama()).eval()
        with torch.no_grad():
            again = loaded(input_ids=TOKENS, use_cache=False).logits
        torch.testing.assert_close(again, kept)


def test_one_whose_experts_are_elsewhere_is_explained(
    experts: tuple[str, ...], tmp_path: Path
) -> None:
    method = x_lora(*experts)
    method.save(method.attach(tiny_llama()), tmp_path / "kept")
    (tmp_path / "kept" / "1" / "adapter_model.safetensors").unlink()
    with pytest.raises(InvalidSpec, match="not its experts 1: copy each one's folder"):
        FinishedAdapter.find(str(tmp_path / "kept"))


def about(method: Method) -> str:
    cell = cell_method(MethodChoice(name="x-lora"), method)
    return json.dumps({"method": cell.model_dump(mode="json")})


def test_experts_that_were_changed_after_planning_are_refused(tmp_path: Path) -> None:
    paths = [expert(tmp_path / str(seed), seed, rank=2) for seed in range(2)]
    parameters = x_lora(*paths).parameters()
    assert x_lora(*paths, digests=parameters["digests"]).parameters() == parameters
    expert(tmp_path / "0", 7, rank=2)
    with pytest.raises(InvalidSpec, match="not those that were planned"):
        x_lora(*paths, digests=parameters["digests"])


def test_an_adapter_without_its_experts_is_not_loaded(tmp_path: Path) -> None:
    method = x_lora(num_experts=2)
    method.save(method.attach(tiny_llama()), tmp_path)
    for file in (tmp_path / "1").iterdir():
        file.unlink()
    (tmp_path / "1").rmdir()
    with pytest.raises(ModelError, match="lacks its experts 1"):
        method.load(tiny_llama(), tmp_path)
