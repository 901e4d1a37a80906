"""A plan: every cell once, each with all that decides its result."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peftbench.planning.forecast import forecast
from peftbench.planning.plan import make_plan
from peftbench.spec import from_mapping

PLUGIN = '''
from dataclasses import dataclass
from peftbench.methods.lora import Lora

@dataclass(frozen=True, kw_only=True)
class Mine(Lora):
    """LoRA, renamed."""

METHOD = Mine
'''


def spec(**changes: Any) -> dict[str, Any]:
    return {
        "name": "p",
        "models": ["tiny"],
        "methods": ["base", "lora", "bitfit"],
        "tasks": ["generated_sums", "generated_mood"],
        "seeds": [1, 2],
        **changes,
    }


@given(
    methods=st.lists(
        st.sampled_from(["base", "lora", "bitfit", "ia3"]), min_size=1, unique=True
    ),
    tasks=st.lists(
        st.sampled_from(["generated_sums", "generated_mood"]), min_size=1, unique=True
    ),
    seeds=st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=4, unique=True),
)
@settings(max_examples=25, deadline=None)
def test_every_combination_is_planned_once(
    methods: list[str], tasks: list[str], seeds: list[int]
) -> None:
    plan = make_plan(from_mapping(spec(methods=methods, tasks=tasks, seeds=seeds)))
    found = [(p.label, p.cell.task.name, p.cell.seed) for p in plan.cells]
    expected = {
        (method, task, None if method == "base" else seed)
        for method in methods
        for task in tasks
        for seed in seeds
    }
    assert set(found) == expected
    assert len(found) == len(expected)
    assert len({p.cell.id for p in plan.cells}) == len(plan.cells)


def test_order_of_the_spec_does_not_change_the_cells() -> None:
    one = make_plan(from_mapping(spec()))
    other = make_plan(from_mapping(spec(methods=["bitfit", "lora", "base"], seeds=[2, 1])))
    assert {p.cell.id for p in one.cells} == {p.cell.id for p in other.cells}


def test_label_and_name_are_no_part_of_a_cell() -> None:
    one = make_plan(from_mapping(spec(methods=["lora"])))
    other = make_plan(
        from_mapping(spec(name="q", methods=[{"name": "lora", "label": "x"}]))
    )
    assert [p.cell.id for p in one.cells] == [p.cell.id for p in other.cells]


def test_default_said_outright_is_the_same_cell() -> None:
    one = make_plan(from_mapping(spec(methods=["lora"])))
    said = {"name": "lora", "parameters": {"rank": 8}}
    other = make_plan(from_mapping(spec(methods=[said], training={"epochs": 3})))
    assert [p.cell.id for p in one.cells] == [p.cell.id for p in other.cells]


def test_spec_goes_before_the_method_and_the_method_before_the_default() -> None:
    def rate(**changes: Any) -> float:
        [planned] = make_plan(
            from_mapping(spec(tasks=["generated_sums"], seeds=[1], **changes))
        ).cells
        assert planned.cell.training
        return planned.cell.training.learning_rate

    assert rate(methods=["prompt-tuning"]) == 3e-2
    assert rate(methods=["prompt-tuning"], training={"learning_rate": 0.5}) == 0.5
    own = {"name": "prompt-tuning", "training": {"learning_rate": 0.25}}
    assert rate(methods=[own], training={"learning_rate": 0.5}) == 0.25


def test_edited_plug_in_is_another_method(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "mine.py"
    file.write_text(PLUGIN)
    monkeypatch.setenv("PEFTBENCH_PLUGINS", os.fspath(file))
    asked = from_mapping(
        spec(methods=["mine", "lora"], tasks=["generated_sums"], seeds=[1])
    )
    before = make_plan(asked).cells
    file.write_text(PLUGIN + "# edited\n")
    after = make_plan(asked).cells
    assert before[0].cell.id != after[0].cell.id
    assert before[1].cell.id == after[1].cell.id, "lora has not changed"


def test_forecast_knows_every_cell_and_grows_with_the_work() -> None:
    def seconds(**training: Any) -> float:
        plan = make_plan(from_mapping(spec(methods=["lora"], training=training)))
        found = forecast(plan, [])
        assert set(found) == {p.cell.id for p in plan.cells}
        assert {f.basis for f in found.values()} == {"estimated"}
        return sum(f.seconds or 0.0 for f in found.values())

    assert seconds(steps=100) > 1.5 * seconds(steps=50) > 0


def test_epochs_decide_nothing_where_steps_are_given() -> None:
    one = make_plan(from_mapping(spec(training={"steps": 5})))
    other = make_plan(from_mapping(spec(training={"steps": 5, "epochs": 1})))
    assert [p.cell.id for p in one.cells] == [p.cell.id for p in other.cells]


def test_two_revisions_of_one_model_have_names_of_their_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from peftbench.models import resolve
    from peftbench.planning import plan as planning
    from peftbench.spec import ModelChoice

    tiny = resolve(ModelChoice(name="tiny"))
    monkeypatch.setattr(
        planning, "resolve", lambda choice: replace(tiny, identity=choice.revision)
    )
    models = [{"name": "a/b", "revision": "one"}, {"name": "a/b", "revision": "two"}]
    plan = make_plan(from_mapping(spec(models=models)))
    assert {p.model for p in plan.cells} == {"a/b@one", "a/b@two"}
