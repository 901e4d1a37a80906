"""Costs of a plan: each method on each model is measured once, alone, before the runs."""

from __future__ import annotations

from collections.abc import Callable

from peftbench.cost.compare import default_probe
from peftbench.cost.costs import precision_of, question_of
from peftbench.engine.plan import Plan, rebuild_method
from peftbench.spec import Cell, ModelChoice
from peftbench.store import Store


def unmeasured(plan: Plan, store: Store) -> list[Cell]:
    """One cell for each model, method setting and precision that the store has not measured."""
    known = {cost.question for cost in store.costs() if cost.basis == "measured"}
    found: dict[str, Cell] = {}
    for planned in plan.cells:
        found.setdefault(question_of(planned.cell), planned.cell)
    return [cell for question, cell in found.items() if question not in known]


def measure_costs(
    plan: Plan, store: Store, on_method: Callable[[str], None] = lambda _name: None
) -> None:
    """Measure what the store does not know yet. Nothing else should run meanwhile."""
    from peftbench.cost.alone import alone
    from peftbench.cost.meter import Meter
    from peftbench.models._load import load

    by_base: dict[tuple[str, str], list[Cell]] = {}
    for cell in unmeasured(plan, store):
        by_base.setdefault((cell.model.identity, cell.model.dtype), []).append(cell)
    for (identity, dtype), cells in by_base.items():
        source = plan.models[identity]
        choice = ModelChoice(name=cells[0].model.name, dtype=dtype)
        with alone():
            meter = Meter(load(source, dtype), choice, default_probe(source.config))
            for cell in cells:
                on_method(cell.method.name)
                meter.probe = default_probe(source.config, precision=precision_of(cell))
                store.put_cost(meter.cost(cell.method, rebuild_method(cell)))
