"""Costs of a plan: each method on each model is measured once, alone, before the runs."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from peftbench.engine import manifest as facts
from peftbench.engine.plan import Plan, rebuild_method
from peftbench.spec import Cell, CellMethod
from peftbench.spec.cell import canonical_json
from peftbench.store import Cost, Memory, Probe, Store


def unmeasured(plan: Plan, store: Store) -> list[Cell]:
    """One cell for each model and method setting without a measurement in the store."""
    known = {_question(c.model_identity, c.dtype, c.method) for c in store.costs()}
    found: dict[str, Cell] = {}
    for planned in plan.cells:
        cell = planned.cell
        question = _question(cell.model.identity, cell.model.dtype, cell.method)
        if question not in known:
            found.setdefault(question, cell)
    return list(found.values())


def measure_costs(
    plan: Plan, store: Store, on_method: Callable[[str], None] = lambda _name: None
) -> None:
    """Measure what the store does not know yet. Nothing else should run meanwhile."""
    from peftbench.cost.meter import measure
    from peftbench.methods import get
    from peftbench.models._load import load

    wanted = unmeasured(plan, store)
    for identity, dtype in dict.fromkeys((c.model.identity, c.model.dtype) for c in wanted):
        base = load(plan.models[identity], dtype)
        # One length for all methods of a model, with room for soft prompts before it.
        length = min(512, (base.max_positions or 1024) // 2)
        probe = Probe(inference_length=length, training_length=length)
        read = partial(
            measure,
            base,
            inference=(probe.inference_batch, length),
            training=(probe.training_batch, length),
            repeats=probe.repeats,
        )
        bare = read(get("base")())
        for cell in wanted:
            if (cell.model.identity, cell.model.dtype) != (identity, dtype):
                continue
            on_method(cell.method.name)
            seen = read(rebuild_method(cell))
            store.put_cost(
                Cost(
                    model=cell.model.name,
                    model_identity=identity,
                    dtype=dtype,
                    method=cell.method,
                    probe=probe,
                    device=f"{base.device.type} ({facts.host()})",
                    trainable_parameters=seen.trainable_parameters,
                    base_parameters=base.shapes.parameters,
                    stored_bytes=seen.stored_bytes,
                    forward_flops=seen.forward_flops,
                    extra_forward_flops=seen.forward_flops - bare.forward_flops,
                    training_step_flops=seen.training_step_flops,
                    peak_memory=Memory(**seen.memory),
                    step_seconds=seen.step_seconds,
                    step_seconds_spread=seen.step_seconds_spread,
                    packages=facts.packages(),
                )
            )


def _question(model_identity: str, dtype: str, method: CellMethod) -> str:
    return canonical_json([model_identity, dtype, method.model_dump(mode="json")])
