"""The smoke suite runs every method, all by one rule."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from peftbench import methods
from peftbench.spec import MethodChoice, read_benchmark
from peftbench.spec.suites import suite_text

_SUITE_FILE = Path(__file__).parents[2] / "recipes" / "smoke" / "suite.py"
recipe = runpy.run_path(str(_SUITE_FILE))
SUITE = read_benchmark("methods-smoke")


def test_suite_is_fresh() -> None:
    fresh = (
        "write it again: python -m recipes.smoke.suite > "
        "src/peftbench/suites/methods-smoke.yaml"
    )
    assert suite_text("methods-smoke") == recipe["text"](), fresh


def test_every_method_is_in_it_but_those_that_need_a_gpu() -> None:
    listed = [choice.name for choice in SUITE.methods]
    assert sorted([*listed, *recipe["NEEDS_A_GPU"]]) == list(methods.CATALOGUE.own_names())
    assert len(SUITE.tasks) == 2
    assert len(SUITE.seeds) == 1


@pytest.mark.parametrize("choice", SUITE.methods, ids=lambda choice: choice.name)
def test_learning_rates_are_ten_times_the_methods_own(choice: MethodChoice) -> None:
    if methods.get(choice.name).trains:
        assert choice.training.learning_rate == recipe["learning_rate"](choice.name)
        assert choice.training.learning_rate <= 0.3
