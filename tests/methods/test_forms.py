"""A config of peft's, and a finished adapter, in place of a method's name."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import peftbench
from peftbench import methods
from peftbench.errors import InvalidSpec
from peftbench.methods._build import build, rebuild
from peftbench.methods._finished import FinishedAdapter
from peftbench.methods._from_config import check_patterns
from peftbench.models import Shapes
from peftbench.planning.plan import make_plan
from peftbench.spec import MethodChoice, from_mapping
from peftbench.testing import TINY_MODELS, tiny_llama, works_on

LORA = {
    "peft_type": "LORA",
    "task_type": "CAUSAL_LM",
    "base_model_name_or_path": "somebody/some-model",
    "inference_mode": True,
    "r": 4,
    "lora_alpha": 8,
    "target_modules": ["q_proj", "down_proj"],
}


def spec(*choices: dict[str, Any], **changes: Any) -> Any:
    return from_mapping(
        {
            "name": "forms",
            "models": ["tiny"],
            "methods": list(choices),
            "tasks": ["generated_sums"],
            "seeds": [1],
            "training": {"steps": 6, "batch_size": 4, "validations": 1, "max_length": 64},
            "limits": {"train": 40, "validation": 8, "test": 12},
            **changes,
        }
    )


def write(folder: Path, config: dict[str, Any]) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return folder


def cell_of(path: Path, **more: Any) -> Any:
    [planned] = make_plan(spec({"peft_config": str(path), **more})).cells
    return planned


def test_identity_is_the_content_and_neither_path_nor_base(tmp_path: Path) -> None:
    one = cell_of(write(tmp_path / "one", LORA))
    assert one.label == "one"
    file = write(tmp_path / "two", LORA | {"base_model_name_or_path": "x", "revision": "y"})
    assert cell_of(file / "adapter_config.json").cell.id == one.cell.id
    assert cell_of(write(tmp_path / "three", LORA | {"r": 5})).cell.id != one.cell.id
    changed = cell_of(tmp_path / "three", parameters={"r": 4})
    assert changed.cell.id == one.cell.id
    assert rebuild(changed.cell.method).parameters() == changed.cell.method.parameters


def test_parameters_are_counted_on_a_model_without_weights(tmp_path: Path) -> None:
    shapes = Shapes.of(tiny_llama())
    method = build(MethodChoice(peft_config=str(write(tmp_path / "c", LORA))))
    same = methods.get("lora")(rank=4, alpha=8, target_modules=["q_proj", "down_proj"])
    assert method.trainable_parameters(shapes) == same.trainable_parameters(shapes)
    assert method.stored_parameters(shapes) == same.stored_parameters(shapes)
    prompt = {"peft_type": "P_TUNING", "num_virtual_tokens": 5, "encoder_hidden_size": 7}
    method = build(MethodChoice(peft_config=str(write(tmp_path / "p", prompt))))
    same = methods.get("p-tuning")(num_virtual_tokens=5, encoder_hidden_size=7)
    assert method.trainable_parameters(shapes) == same.trainable_parameters(shapes)
    assert method.stored_parameters(shapes) == same.stored_parameters(shapes)
    assert method.num_virtual_tokens == 5  # type: ignore[attr-defined]


@pytest.mark.parametrize("model_type", ["llama", "gpt2"])
def test_prompt_of_a_config_keeps_what_a_method_must_keep(
    model_type: str, tmp_path: Path
) -> None:
    prompt = {"peft_type": "PROMPT_TUNING", "num_virtual_tokens": 4, "token_dim": 9999}
    method = build(MethodChoice(peft_config=str(write(tmp_path / "p", prompt))))
    works_on(method, TINY_MODELS[model_type])


@pytest.mark.usefixtures("no_processes")
def test_config_is_trained_and_its_adapter_scored_again(tmp_path: Path) -> None:
    """From a file to a trained adapter, and from that adapter to the same score."""
    config = write(tmp_path / "mine", LORA)
    trained = peftbench.run(
        spec({"peft_config": str(config)}, {"name": "bitfit"}, keep_adapters=True),
        store=tmp_path / "store",
        workers=1,
        measure_costs=False,
    )
    assert trained.summary.finished_cells == 2, trained.summary.troubles
    info = {m.label: m for m in trained.summary.methods}["mine"]
    assert info.family == "peft's LORA"
    kept = {
        json.loads((folder / "peftbench.json").read_text())["method"]["name"]: folder
        for folder in (tmp_path / "store" / "files").glob("*/adapter")
    }
    assert set(kept) == {"peft_config", "bitfit"}
    plain = tmp_path / "plain"  # as peft writes it, and as the hub holds it
    shutil.copytree(kept["peft_config"], plain)
    (plain / "peftbench.json").unlink()
    (plain / "README.md").write_text("a card")
    again = peftbench.run(
        spec(
            {"adapter": str(kept["peft_config"]), "label": "kept"},
            {"adapter": str(plain)},
            {"adapter": str(kept["bitfit"]), "label": "kept bitfit"},
            name="again",
        ),
        store=tmp_path / "again",
        workers=1,
    )
    assert again.summary.finished_cells == 3, again.summary.troubles
    before, after = (
        {(e.method, e.task): next(iter(e.by_seed.values())) for e in r.summary.entries}
        for r in (trained, again)
    )
    task = "generated_sums"
    assert after["kept", task] == after["plain", task] == before["mine", task]
    assert after["kept bitfit", task] == before["bitfit", task]
    assert not any(method.trains for method in again.summary.methods)


def test_identity_of_an_adapter_is_its_files_and_not_where_they_are(tmp_path: Path) -> None:
    method = methods.get("lora")(rank=2)
    adapted = method.attach(tiny_llama())
    method.save(adapted, tmp_path / "a")
    shutil.copytree(tmp_path / "a", tmp_path / "b")

    def cell(name: str) -> Any:
        [planned] = make_plan(spec({"adapter": str(tmp_path / name)})).cells
        return planned.cell

    assert cell("a").id == cell("b").id
    assert cell("a").seed is None
    assert cell("a").training is None
    config = tmp_path / "b" / "adapter_config.json"
    config.write_text(config.read_text().replace('"lora_alpha": 16', '"lora_alpha": 17'))
    assert cell("a").id != cell("b").id


BAD: list[tuple[dict[str, Any], str]] = [
    ({"peft_config": "no/such/file.json"}, "cannot be read: No such file"),
    ({"peft_config": "{tmp}/broken"}, "is not valid JSON"),
    ({"peft_config": "{tmp}/list"}, "holds no JSON object"),
    ({"peft_config": "{tmp}/strange"}, "peft has no method 'NONSENSE'; it has ADALORA"),
    ({"peft_config": "{tmp}/typo"}, "LORA has no field lora_alhpa; it has"),
    ({"peft_config": "{tmp}/refused"}, "peft refuses this config: "),
    ({"peft_config": "{tmp}/endless"}, r"the pattern '\(a\*\)\*x' repeats a group"),
    ({"peft_config": "{tmp}/slow"}, "or has more than 4 repeats"),
    ({"peft_config": "{tmp}/by-rank"}, "repeats a group"),
    ({"peft_config": "{tmp}/mixed"}, "whose experts are adapters of their own: name them"),
    ({"adapter": "no/such/folder"}, "No adapter folder 'no/such/folder'"),
    ({"adapter": "{tmp}/typo"}, "holds no safetensors weights. An adapter is a folder"),
    ({"adapter": "{tmp}/pickled"}, "pickled, can run code, and are not read"),
]


@pytest.mark.parametrize(
    "pattern",
    [
        r".*\.(q_proj|v_proj)",
        r"^(?!.*(?:patch_embed|visual)).*(?:q_proj|v_proj).*",
        r"model\.layers\.\d+\.self_attn\.([qk]_proj|[+*]x)",
    ],
)
def test_patterns_as_people_write_them_are_taken(pattern: str) -> None:
    check_patterns(Path("config"), {"target_modules": pattern})


@pytest.mark.parametrize(("choice", "message"), BAD)
def test_what_is_no_config_and_no_adapter_is_explained(
    choice: dict[str, str], message: str, tmp_path: Path
) -> None:
    for name, text in (
        ("broken", "{"),
        ("list", "[]"),
        ("strange", json.dumps({"peft_type": "NONSENSE"})),
        ("typo", json.dumps({"peft_type": "LORA", "lora_alhpa": 3})),
        ("refused", json.dumps({"peft_type": "LORA", "use_dora": True, "megatron_config": 1,
                                "loftq_config": 5, "init_lora_weights": "loftq"})),
        ("endless", json.dumps({"peft_type": "LORA", "target_modules": "(a*)*x"})),
        ("slow", json.dumps({"peft_type": "LORA", "exclude_modules": ".*a" * 5})),
        ("by-rank", json.dumps({"peft_type": "LORA", "rank_pattern": {"(a|a)+$": 4}})),
        ("mixed", json.dumps({"peft_type": "XLORA", "adapters": {"0": "elsewhere"}})),
        ("pickled", json.dumps({"peft_type": "LORA"})),
    ):  # fmt: skip
        (tmp_path / name).mkdir()
        (tmp_path / name / "adapter_config.json").write_text(text)
    (tmp_path / "pickled" / "adapter_model.bin").touch()
    [(form, path)] = choice.items()
    with pytest.raises(InvalidSpec, match=message):
        make_plan(spec({form: path.replace("{tmp}", str(tmp_path))}))


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"name": "lora", "adapter": "x"}, "one of name, peft_config and adapter"),
        ({"peft_config": "x", "adapter": "x"}, "one of name, peft_config and adapter"),
        ({"label": "x"}, "one of name, peft_config and adapter"),
        ({"adapter": "x", "training": {"steps": 3}}, "a finished adapter is not trained"),
        ({"adapter": "x", "parameters": {"r": 3}}, "a finished adapter is not trained"),
        ({"peft_config": "x", "budget": {"stored_bytes": 9}}, "only a method with a name"),
    ],
)
def test_forms_do_not_mix(choice: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidSpec, match=message):
        spec(choice)


def test_checkpoints_beside_an_adapter_are_no_part_of_it(tmp_path: Path) -> None:
    """A trainer leaves whole folders of them within the adapter's own."""
    method = methods.get("lora")()
    adapted = method.attach(tiny_llama())
    method.save(adapted, tmp_path / "lora")
    alone = FinishedAdapter.find(str(tmp_path / "lora"))
    method.save(adapted, tmp_path / "lora" / "checkpoint-10")
    beside = FinishedAdapter.find(str(tmp_path / "lora"))
    assert beside.parameters() == alone.parameters()
    assert set(beside.files) == {"adapter_config.json", "adapter_model.safetensors"}
