"""The costs of a plan are measured in the precision that its cells train in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from peftbench.cost.costs import Cost, Memory, question_of
from peftbench.spec import Probe
from peftbench.engine.plan import Plan, make_plan
from peftbench.engine.probe import measure_costs
from peftbench.planning.costs import unmeasured
from peftbench.spec import Cell, from_mapping
from peftbench.store import Store


def plan_of(precision: str) -> Plan:
    return make_plan(
        from_mapping(
            {
                "name": "p",
                "models": ["tiny"],
                "methods": ["base", "ia3"],
                "tasks": ["generated_sums"],
                "seeds": [1, 2],
                "training": {"precision": precision},
            }
        )
    )


def cost_of(cell: Cell, precision: Any) -> Cost:
    nothing = Memory(total=0, weights=0, adapter=0, gradients=0, optimizer=0, activations=0)
    return Cost(
        model=cell.model.name,
        model_identity=cell.model.identity,
        dtype=cell.model.dtype,
        method=cell.method,
        probe=Probe(precision=precision),
        device="cpu",
        trainable_parameters=0,
        base_parameters=1,
        stored_bytes=0,
        forward_flops=0,
        extra_forward_flops=0,
        training_step_flops=0,
        peak_memory=nothing,
        step_seconds=None,
        step_seconds_spread=None,
        packages={},
    )


def test_a_cost_answers_cells_of_its_precision(tmp_path: Path) -> None:
    whole, half = plan_of("float32"), plan_of("bfloat16")
    store = Store.open(tmp_path)
    try:
        for cell in unmeasured(whole, store):
            cost = cost_of(cell, "float32")
            assert cost.question == question_of(cell)
            store.put_cost(cost)
        assert unmeasured(whole, store) == []
        assert [cell.method.name for cell in unmeasured(half, store)] == ["ia3"], (
            "what trains nothing has no precision"
        )
    finally:
        store.close()


def test_the_probe_has_the_precision_of_the_cells(tmp_path: Path, monkeypatch: Any) -> None:
    probes: list[Probe] = []

    def measured(self: Any, asked: Any, method: Any) -> Cost:
        del method
        probes.append(self.probe)
        cell = next(c for c in cells if c.method == asked)
        return cost_of(cell, self.probe.precision)

    monkeypatch.setattr("peftbench.cost.meter.Meter.cost", measured)
    plan = plan_of("bfloat16")
    cells = [planned.cell for planned in plan.cells]
    store = Store.open(tmp_path)
    try:
        measure_costs(plan, store)
        assert [probe.precision for probe in probes] == ["float32", "bfloat16"]
        assert unmeasured(plan, store) == []
    finally:
        store.close()
