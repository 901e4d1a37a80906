"""Methods on other architectures: each works, or its file says that it does not.

A commit tries some of the pairs, `make nightly` all: see `architecture_rotation`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from architecture_rotation import AT_ONCE, Rotation
from peftbench import methods
from peftbench.encoding.rounding import NARROW
from peftbench.errors import InvalidSpec
from peftbench.planning.plan import make_plan
from peftbench.spec import from_mapping
from peftbench.testing import TINY_MODELS, trial, works_on

#: The full checks run on it, see test_conformance.py.
OTHERS = [model_type for model_type in TINY_MODELS if model_type != "llama"]
PAIRS = [
    (name, model_type)
    for name in methods.names()
    for model_type in Rotation.today().chosen(name, OTHERS)
]


def test_the_architectures_are_those_that_people_use() -> None:
    wanted = {"gemma", "gpt2", "gpt_neox", "mistral", "opt", "phi", "qwen2", "qwen3"}
    assert set(OTHERS) >= wanted


def test_rotations_one_after_the_other_try_all_pairs_once() -> None:
    rounds = [Rotation(position, "") for position in range(5, 5 + len(OTHERS) // AT_ONCE)]
    for name in methods.names():
        tried = [model_type for r in rounds for model_type in r.chosen(name, OTHERS)]
        assert sorted(tried) == sorted(OTHERS)
    for rotation in rounds:
        tried_now = {t for name in methods.names() for t in rotation.chosen(name, OTHERS)}
        assert tried_now == set(OTHERS), "each architecture is tried with some methods"


def test_the_nightly_run_and_a_changed_method_meet_all_architectures() -> None:
    assert Rotation(None, "").chosen("lora", OTHERS) == OTHERS
    changed = Rotation(3, "", frozenset({"lora"}))
    assert changed.chosen("lora", OTHERS) == OTHERS
    assert len(changed.chosen("ia3", OTHERS)) == AT_ONCE


@pytest.mark.parametrize(("said", "position"), [("all", None), ("17", 17)])
def test_the_environment_says_which_pairs(
    said: str, position: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PEFTBENCH_ROTATION", said)
    assert Rotation.today().position == position
    assert "PEFTBENCH_ROTATION" in str(Rotation.today())


@pytest.mark.parametrize(("name", "model_type"), PAIRS)
def test_method_works_or_is_declared_not_to(name: str, model_type: str) -> None:
    method, factory = methods.get(name)(), TINY_MODELS[model_type]
    trial.holds(method, model_type, lambda: works_on(method, factory))


@pytest.mark.parametrize("name", methods.names())
def test_no_method_declares_what_is_never_tried(name: str) -> None:
    assert set(methods.get(name).unsupported) <= {*TINY_MODELS, *NARROW}


@pytest.mark.parametrize("model_type", OTHERS)
def test_plan_refuses_what_is_declared_before_anything_is_loaded(
    model_type: str, tmp_path: Path
) -> None:
    import shutil

    from peftbench.models import resolve
    from peftbench.spec import ModelChoice

    refusing = [n for n in methods.names() if model_type in methods.get(n).unsupported]
    if not refusing:
        return
    model: Any = TINY_MODELS[model_type]()
    model.config.save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").touch()  # looked for, never opened
    embedded = Path(resolve(ModelChoice(name="tiny")).location)
    shutil.copy(embedded / "tokenizer.json", tmp_path)
    spec = from_mapping(
        {
            "name": "x",
            "models": ["tiny", str(tmp_path)],
            "methods": ["base", *refusing],
            "tasks": ["generated_sums"],
        }
    )
    with pytest.raises(InvalidSpec, match=f"cannot adapt a {model_type} model") as caught:
        make_plan(spec)
    for name in refusing:
        assert f"{name}: {methods.get(name).unsupported[model_type]}" in str(caught.value)
