"""What does not fit is told before it runs, with the cheapest change that makes it fit."""

from __future__ import annotations

from typing import Any

import pytest

from peftbench.cost import closed_form
from peftbench.methods._build import rebuild
from peftbench.models import Shapes, describe
from peftbench.planning.fit import HEADROOM, Misfit, machine_memory_bytes, misfit
from peftbench.planning.forecast import forecast
from peftbench.planning.memory_forecast import MemoryForecast
from peftbench.planning.plan import Plan, make_plan
from peftbench.spec import Cell, ModelChoice, from_mapping

LENGTHS = (256, 8)


def plan_of(method: str = "lora", **training: Any) -> Plan:
    return make_plan(
        from_mapping(
            {
                "name": "p",
                "models": ["tiny"],
                "methods": [method],
                "tasks": ["generated_sums"],
                "seeds": [1],
                "training": training,
            }
        )
    )


def needs(plan: Plan) -> Any:
    memory = MemoryForecast(plan)
    return lambda cell: memory.bytes_of(cell, LENGTHS)


def found(limit: float, method: str = "lora", **training: Any) -> Misfit | None:
    plan = plan_of(method, **training)
    return misfit(plan.cells[0].cell, needs(plan), int(limit))


def needed(method: str = "lora", **training: Any) -> int:
    plan = plan_of(method, **training)
    return int(needs(plan)(plan.cells[0].cell))


def test_what_fits_is_not_mentioned() -> None:
    assert found(1e12) is None
    assert found(HEADROOM * needed() + 1) is None


def test_smaller_micro_batches_come_first() -> None:
    told = found(HEADROOM * needed(micro_batch_size=8) + 1)
    assert told is not None
    assert told.change == ("training.micro_batch_size=8",)
    assert told.becomes_bytes == needed(micro_batch_size=8)
    assert told.needed_bytes == needed()


def test_recomputing_comes_before_other_weights() -> None:
    one_row = needed(micro_batch_size=1)
    recomputed = needed(gradient_checkpointing=True, micro_batch_size=1)
    assert recomputed < one_row
    told = found(HEADROOM * (recomputed + 1))
    assert told is not None
    assert told.change[0] == "training.gradient_checkpointing=true"
    assert not any("bfloat16" in change for change in told.change)


def test_a_method_that_cannot_recompute_is_not_told_to() -> None:
    told = found(0.9 * needed("prefix-tuning", micro_batch_size=1), "prefix-tuning")
    assert told is not None
    assert not any("checkpointing" in change for change in told.change)
    assert "bfloat16" in told.change[0]


@pytest.mark.parametrize(
    ("gigabytes", "change"),
    [
        (24, ("the model's dtype: bfloat16", "training.micro_batch_size=")),
        (12, ("the model's dtype: bfloat16", "qlora in place of lora")),
    ],
)
def test_weights_in_4_bits_are_the_last_thing_to_try(
    gigabytes: int, change: tuple[str, str]
) -> None:
    """8 billion weights are 16 GB in 16 bits, and 6 GB with those of the blocks in 4."""
    shapes = Shapes.from_config(
        describe(ModelChoice(name="meta-llama/Llama-3.1-8B")).config
    )

    def memory_of(cell: Cell) -> int:
        assert cell.training
        return closed_form.peak_memory_bytes(
            shapes,
            rebuild(cell.method),
            batch=cell.training.micro_batch_size or cell.training.batch_size,
            length=256,
            answer_length=8,
            weight_bytes=2 if "16" in cell.model.dtype else 4,
            gradient_checkpointing=cell.training.gradient_checkpointing,
        )

    told = misfit(plan_of().cells[0].cell, memory_of, int(gigabytes * 1e9))
    assert told is not None
    assert told.change[0] == change[0]
    assert told.change[1].startswith(change[1])


def test_where_nothing_is_enough_nothing_is_suggested() -> None:
    told = found(1000)
    assert told is not None
    assert told.change == ()
    assert told.becomes_bytes is None


def test_every_suggestion_is_a_spec_that_then_fits() -> None:
    from peftbench.spec.read import override

    told = found(HEADROOM * needed(micro_batch_size=2) + 1)
    assert told is not None
    raw: dict[str, Any] = plan_of().benchmark.model_dump(mode="json", exclude_unset=True)
    for change in told.change:
        override(raw, change)
    plan = make_plan(from_mapping(raw))
    assert misfit(plan.cells[0].cell, needs(plan), told.limit_bytes) is None


def test_a_forecast_carries_the_misfit_and_exact_agrees_within_a_third() -> None:
    plan = plan_of(batch_size=4)
    [cell] = [planned.cell for planned in plan.cells]
    told = forecast(plan, [], memory_limit=1000)[cell.id]
    assert told.misfit is not None
    assert forecast(plan, [], memory_limit=10**12)[cell.id].misfit is None
    exact = MemoryForecast(plan, exact=True).bytes_of(cell, (64, 8))
    at_once = MemoryForecast(plan).bytes_of(cell, (64, 8))
    assert exact
    assert at_once
    assert at_once == pytest.approx(exact, rel=1 / 3)


def test_this_machine_has_memory() -> None:
    memory = machine_memory_bytes()
    assert memory is not None
    assert memory > 1e8


def test_a_cell_of_unknown_shapes_is_no_misfit() -> None:
    def unknown(_cell: Cell) -> int | None:
        return None

    assert misfit(plan_of().cells[0].cell, unknown, 1) is None
