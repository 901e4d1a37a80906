"""The costs of a plan are measured in the precision that its cells train in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from peftbench.cost.costs import Cost, Memory
from peftbench.planning.costs import unmeasured
from peftbench.planning.plan import Plan, make_plan
from peftbench.spec import Measure, from_mapping
from peftbench.store import Store, Work


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


def wanted(plan: Plan, store: Store) -> list[Work]:
    return unmeasured(plan.cells, plan.models, store.results)


def cost_of(step: Measure) -> Cost:
    nothing = Memory(total=0, weights=0, adapter=0, gradients=0, optimizer=0, activations=0)
    counts: dict[str, Any] = dict.fromkeys(
        ("trainable_parameters", "stored_bytes", "forward_flops", "extra_forward_flops",
         "training_step_flops"), 0
    )  # fmt: skip
    return Cost(
        model="tiny",
        model_identity=step.base.identity,
        dtype=step.base.dtype,
        method=step.method,
        probe=step.probe,
        device="cpu (here)",
        device_kind=step.device,
        base_parameters=1,
        peak_memory=nothing,
        step_seconds=None,
        step_seconds_spread=None,
        packages={},
        **counts,
    )


def test_each_method_is_measured_once_in_the_precision_it_trains_in(tmp_path: Path) -> None:
    whole, half = plan_of("float32"), plan_of("bfloat16")
    with Store.open(tmp_path) as store:
        steps = [one.measure for one in wanted(whole, store)]
        assert [step and step.method.name for step in steps] == ["base", "ia3"]
        for step in steps:
            assert step is not None
            cost = cost_of(step)
            assert cost.step == step, "a cost answers the very step that asked for it"
            store.results.commit(None, step, cost)
        assert wanted(whole, store) == []
        left = [one.measure for one in wanted(half, store)]
        assert [
            (step and step.method.name, step and step.probe.precision) for step in left
        ] == [("ia3", "bfloat16")], "what trains nothing has no precision"
