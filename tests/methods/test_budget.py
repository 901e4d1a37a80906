"""A budget becomes the nearest setting, on each model, or is refused with numbers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peftbench import methods
from peftbench.errors import InvalidSpec
from peftbench.methods._budget import nearest, solve
from peftbench.models import Shapes
from peftbench.planning.plan import make_plan
from peftbench.spec import Budget, from_mapping
from peftbench.testing import tiny_llama

LLAMA_3_8B = Shapes.from_config(
    {
        "model_type": "llama",
        "vocab_size": 128256,
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
    }
)
WITH_A_KNOB = [name for name in methods.names() if methods.get(name).budget_knob]


@given(
    steps=st.lists(st.integers(0, 40), min_size=1, max_size=60),
    refused=st.sets(st.integers(1, 60)),
    target=st.integers(-5, 2500) | st.floats(-5, 2500),
    falls=st.booleans(),
)
@settings(max_examples=400, deadline=None)
def test_nearest_is_what_trying_all_of_them_finds(
    steps: list[int], refused: set[int], target: float, falls: bool
) -> None:
    """Any monotone sizes, with plateaus and holes, rising or falling."""
    sizes = {i + 1: sum(steps[: i + 1]) for i in range(len(steps))}
    if falls:
        sizes = dict(zip(sizes, reversed(sizes.values()), strict=True))

    def size(value: int) -> int | None:
        return None if value in refused else sizes[value]

    found = nearest(size, range(1, len(steps) + 1), target)
    allowed = [sizes[value] for value in sizes if value not in refused]
    if not allowed:
        assert found is None
        return
    best = min(allowed, key=lambda count: (abs(count - target), count))
    assert found is not None
    assert size(found) == best


def test_nearest_asks_for_few_sizes_only() -> None:
    asked: list[int] = []

    def size(value: int) -> int:
        asked.append(value)
        return 24_000 * value

    assert nearest(size, range(1, 2**16 + 1), 8_030_261) == 335
    assert len(asked) < 60
    assert max(asked) < 2000


@pytest.mark.parametrize("name", WITH_A_KNOB)
@pytest.mark.parametrize(
    "shapes", [LLAMA_3_8B, Shapes.of(tiny_llama())], ids=["8b", "tiny"]
)
def test_budget_of_a_methods_own_size_gives_back_that_size(
    name: str, shapes: Shapes
) -> None:
    """So the count is monotone in the knob, and the default is among its values."""
    method = methods.get(name)()
    count = method.trainable_parameters(shapes)
    turned, settled = solve("x", method, shapes, Budget(trainable_parameters=count))
    assert turned.trainable_parameters(shapes) == count == settled.achieved
    assert settled.knob == method.budget_knob
    assert getattr(turned, settled.knob) == settled.value


@pytest.mark.parametrize("name", WITH_A_KNOB)
def test_no_neighbour_is_nearer(name: str) -> None:
    method = methods.get(name)()
    assert method.budget_knob
    wanted = round(1.7 * method.trainable_parameters(LLAMA_3_8B))
    turned, settled = solve("x", method, LLAMA_3_8B, Budget(trainable_parameters=wanted))
    distance = abs(turned.trainable_parameters(LLAMA_3_8B) - wanted)
    for value in (settled.value - 1, settled.value + 1):
        try:
            other = replace(method, **{method.budget_knob: value})
            count = other.trainable_parameters(LLAMA_3_8B)
        except InvalidSpec:
            continue
        assert abs(count - wanted) >= distance


@pytest.mark.parametrize("name", WITH_A_KNOB)
def test_what_a_budget_chose_can_be_attached_and_has_that_size(name: str) -> None:
    method = methods.get(name)()
    model = tiny_llama()
    shapes = Shapes.of(model)
    wanted = round(0.6 * method.trainable_parameters(shapes))
    try:
        turned, settled = solve("x", method, shapes, Budget(trainable_parameters=wanted))
    except InvalidSpec:  # its sizes are further apart than a factor of two: see the message
        return
    adapted = turned.attach(model)
    counted = sum(p.numel() for p in adapted.parameters() if p.requires_grad)
    assert counted == settled.achieved


@pytest.mark.parametrize(
    ("budget", "rank", "achieved"),
    [
        # All linear layers: 2,621,440 parameters per rank.
        ({"trainable_parameters": 20_971_520}, 8, 20_971_520),
        ({"trainable_fraction": 0.001}, 3, 7_864_320 / 8_030_261_248),
        ({"stored_bytes": 50_000_000}, 5, 4 * 13_107_200),
    ],
)
def test_three_units(budget: dict[str, Any], rank: int, achieved: float) -> None:
    _, settled = solve("x", methods.get("lora")(), LLAMA_3_8B, Budget(**budget))
    assert settled.value == rank
    assert settled.achieved == pytest.approx(achieved)


def spec(*choices: Any, models: Any = ("tiny",)) -> Any:
    return from_mapping(
        {
            "name": "b",
            "models": list(models),
            "methods": list(choices),
            "tasks": ["generated_sums"],
            "seeds": [1],
        }
    )


def test_the_same_budget_is_another_setting_on_another_model(tmp_path: Any) -> None:
    import shutil
    from pathlib import Path

    from peftbench.models import resolve
    from peftbench.spec import ModelChoice

    tiny_llama(vocab_size=1024).save_pretrained(tmp_path)
    embedded = Path(resolve(ModelChoice(name="tiny")).location)
    shutil.copy(embedded / "tokenizer.json", tmp_path)
    asked = spec(
        {"name": "lora", "budget": {"trainable_parameters": 10_000}},
        models=["tiny", str(tmp_path)],
    )
    plan = make_plan(asked)
    [on_tiny, on_small] = plan.cells
    assert on_tiny.budget
    assert on_small.budget
    assert on_tiny.cell.method.parameters["rank"] == on_tiny.budget.value == 1
    assert on_small.cell.method.parameters["rank"] == on_small.budget.value > 5


def test_a_rank_that_a_budget_chose_is_the_same_cell_as_that_rank() -> None:
    [chosen] = make_plan(
        spec({"name": "lora", "budget": {"trainable_fraction": 0.05}})
    ).cells
    said = {"name": "lora", "parameters": {"rank": chosen.budget.value}}  # type: ignore[union-attr]
    [outright] = make_plan(spec(said)).cells
    assert chosen.cell.id == outright.cell.id
    assert outright.budget is None


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        (
            {"name": "ia3", "budget": {"trainable_fraction": 0.001}},
            "its size cannot be chosen",
        ),
        (
            {"name": "base", "budget": {"trainable_parameters": 5}},
            "its size cannot be chosen",
        ),
        (
            {"name": "lora", "budget": {"trainable_parameters": 50}},
            "no rank comes within a factor of 2 of trainable_parameters 50 on.*nearest is 17,664, with",
        ),
        (
            {"name": "prompt-tuning", "budget": {"trainable_parameters": 10**9}},
            "no num_virtual_tokens comes within",
        ),
        (
            {
                "name": "lora",
                "parameters": {"rank": 4},
                "budget": {"trainable_parameters": 5},
            },
            "the budget decides rank, and parameters says it too",
        ),
    ],
)
def test_what_cannot_be_is_refused_before_a_model_is_loaded(
    choice: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidSpec, match=message):
        make_plan(spec(choice))


@pytest.mark.parametrize(
    ("budget", "message"),
    [
        ({}, "a budget is one of"),
        ({"trainable_fraction": 0.1, "stored_bytes": 5}, "a budget is one of"),
        ({"trainable_fraction": 0}, "greater than 0"),
        ({"trainable_fraction": 1.5}, "less than or equal to 1"),
        ({"parameters": 5}, "unknown field"),
    ],
)
def test_budget_that_says_nothing_or_too_much_is_refused(
    budget: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidSpec, match=message):
        spec({"name": "lora", "budget": budget})


def test_store_and_report_remember_what_was_asked_and_what_came_out(tmp_path: Any) -> None:
    from peftbench import api
    from peftbench.report.setup import method_table
    from peftbench.store import Store

    plan = make_plan(spec({"name": "lora", "budget": {"trainable_fraction": 0.1}}))
    asked = plan.benchmark.model_dump(mode="json", exclude_unset=True)
    with Store.open(tmp_path) as store:
        store.add_benchmark("b", origin="here", spec=asked, cells=plan.cells)
        results = api.results(store)
    assert plan.cells[0].budget
    [info] = results.summary.methods
    assert info.budgets == {"tiny": plan.cells[0].budget}
    [row] = method_table(results.summary).rows
    said = " ".join(cell.text for cell in row.cells)
    assert "rank 11 for trainable_fraction 0.1, achieved 0.1014" in said
    assert said.count("rank") == 1
