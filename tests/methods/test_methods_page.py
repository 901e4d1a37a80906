"""The page of methods is made from their files, and names them all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from recipes.pages.methods import page

from peftbench import methods
from peftbench.methods._card import REFERENCES, card, shapes

PAGE = (Path(__file__).parents[2] / "docs" / "methods.md").read_text("utf-8")
NAMES = methods.CATALOGUE.own_names()


def test_page_is_fresh() -> None:
    fresh = "make it again: python -m recipes.pages.methods > docs/methods.md"
    assert PAGE.strip() == page().strip(), fresh


def test_page_says_how_many_there_are() -> None:
    assert f"\n{len(NAMES)} methods." in PAGE


@pytest.mark.parametrize("name", NAMES)
def test_every_method_has_a_line_and_a_section_with_its_facts(name: str) -> None:
    method = methods.get(name)
    [line] = [ln for ln in PAGE.splitlines() if ln.startswith(f"| [`{name}`](#{name}) |")]
    assert method.placement in line
    assert method.paper in line
    section = PAGE.split(f"\n### {name}\n")[1].split("\n### ")[0]
    assert method.defaults_from in section
    for setting, value in method().parameters().items():
        assert f"{setting}: {json.dumps(value)}" in section


def test_card_counts_on_models_that_people_know() -> None:
    found = card("lora")
    assert found.trainable["Llama-3-8B"] == 20_971_520  # 8 x 32 x 81,920
    assert shapes("Llama-3-8B").parameters == 8_030_261_248
    assert shapes("Llama-3.2-1B").parameters == 1_235_814_400
    assert shapes("Qwen2.5-7B").parameters == 7_615_616_512
    assert found.trainable.keys() == REFERENCES.keys()
    assert found.learning_rate == 2e-4
    assert card("base").learning_rate is None
