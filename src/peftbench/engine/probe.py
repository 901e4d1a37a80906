"""Costs of a plan: each method on each model is measured once, alone, before the runs."""

from __future__ import annotations

from collections.abc import Callable

from peftbench.engine.costs import MeasuringBench, default_probe
from peftbench.engine.plan import Plan, rebuild_method
from peftbench.spec import Cell, CellMethod, ModelChoice
from peftbench.spec.frozen import canonical_json
from peftbench.store import Store


def unmeasured(plan: Plan, store: Store) -> list[Cell]:
    """One cell for each model and method setting without a measurement in the store."""
    known = {
        _question(cost.model_identity, cost.dtype, cost.method)
        for cost in store.costs()
        if cost.basis == "measured"
    }
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
    from peftbench.cost.alone import alone
    from peftbench.models._load import load

    wanted = unmeasured(plan, store)
    for identity, dtype in dict.fromkeys((c.model.identity, c.model.dtype) for c in wanted):
        cells = [
            c for c in wanted if (c.model.identity, c.model.dtype) == (identity, dtype)
        ]
        source = plan.models[identity]
        choice = ModelChoice(name=cells[0].model.name, dtype=dtype)
        with alone():
            bench = MeasuringBench(
                load(source, dtype), choice, default_probe(source.config)
            )
            for cell in cells:
                on_method(cell.method.name)
                store.put_cost(bench.cost(cell.method, rebuild_method(cell)))


def _question(model_identity: str, dtype: str, method: CellMethod) -> str:
    return canonical_json([model_identity, dtype, method.model_dump(mode="json")])
