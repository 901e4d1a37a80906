"""Which costs a benchmark wants measured: each method on each model once, alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from peftbench.cost.compare import default_probe
from peftbench.cost.costs import precision_of
from peftbench.models import ModelSource
from peftbench.models._device import device_kind
from peftbench.spec import Measure
from peftbench.store import PlannedCell, Results, Work


def measure_step(planned: PlannedCell, models: Mapping[str, ModelSource]) -> Measure:
    """The measurement of a cell's method, on this machine's kind of device."""
    cell = planned.cell
    config = models[cell.model.identity].config
    probe = default_probe(config, precision=precision_of(cell))
    return Measure(
        base=cell.model.base, method=cell.method, probe=probe, device=device_kind()
    )


def unmeasured(
    planned: Iterable[PlannedCell], models: Mapping[str, ModelSource], results: Results
) -> list[Work]:
    """The measurements that the store does not have, those of one model together."""
    steps: dict[str, tuple[Measure, PlannedCell]] = {}
    for one in planned:
        step = measure_step(one, models)
        steps.setdefault(step.id, (step, one))
    known = results.status(steps)
    return [
        Work(
            unit=step_id,
            model=one.cell.model.name,
            location=one.cell.method.location,
            measure=step,
        )
        for step_id, (step, one) in steps.items()
        if step_id not in known
    ]
