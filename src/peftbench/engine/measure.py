"""The step that measures what a method costs, alone on the machine."""

from __future__ import annotations

from peftbench.cost.alone import alone
from peftbench.cost.compare import said_in_a_line
from peftbench.cost.meter import Meter
from peftbench.engine.host import ModelHost
from peftbench.methods._build import rebuild
from peftbench.spec import ModelChoice
from peftbench.store import Claimed, Store


def measure(
    claimed: Claimed, store: Store, host: ModelHost, *, crashes_allowed: int
) -> str:
    """Measure, and store the cost. Returns why it could not be measured, "" where it was:
    a cost that is not known is no result, and is measured another time."""
    work = claimed.work
    step = work.measure
    assert step is not None
    if step.id in store.results.status([step.id]):
        return ""
    if claimed.lease.crashes >= crashes_allowed:
        return f"Its worker process died {claimed.lease.crashes} times over it."
    settings = step.method.model_copy(update={"location": work.location})
    with alone():
        model = ModelChoice(name=work.model, dtype=step.base.dtype)
        meter = Meter(host.base(step.base), model, step.probe)
        try:
            cost = meter.cost(settings, rebuild(settings))
        except Exception as error:  # a library's, of any kind
            host.distrust()
            return said_in_a_line(error)
    store.results.commit(claimed.lease, step, cost)
    host.check()
    return ""
