"""What happens in a run, under the names that people know."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, cast, get_args

from peftbench.store import Event, PlannedCell, Store, Trained

What = Literal["started", "step", "ended", "dropped"]
Of = Literal["cell", "trial", "cost"]


@dataclass(frozen=True)
class News:
    """Something that happened in a run."""

    what: What
    of: Of
    """What it happened to: a cell, a trial of a search, or the measurement of a cost."""
    name: str
    """What people call that."""
    unit: str
    """Tells two of one name apart."""
    step: int = 0
    steps: int = 0
    said: str = ""
    """Of what ended: its score, or why there is none."""


Listen = Callable[[News], None]


def unheard(_news: News) -> None:
    """The listener that hears nothing."""


@dataclass
class Narrator:
    """Makes news of the ledger's events."""

    store: Store
    cells: Callable[[], Iterable[PlannedCell]]
    trials: Mapping[str, str]
    """Names of trials by unit; they come while the run goes on."""
    costs: Mapping[str, str]
    """Names of measurements, by unit."""
    listen: Listen
    _cells: dict[str, PlannedCell] = field(default_factory=dict)
    _started: dict[str, float] = field(default_factory=dict)

    def __call__(self, event: Event) -> None:
        """Hear of an event."""
        unit = event.unit
        what = cast("What", event.what if event.what in get_args(What) else "ended")
        of: Of
        if unit in self.costs:
            of, name, said = "cost", self.costs[unit], ""
            if what == "ended" and event.detail:
                said = f"not measured: {_first_line(event.detail)}"
        elif unit in self.trials and what != "ended":
            of, name, said = "trial", self.trials[unit], ""
        else:
            of, name, said = self._of_work(unit, what)
        if what == "started":
            self._started[unit] = event.at
        elif what == "ended" and said and unit in self._started:
            said += f" ({event.at - self._started[unit]:.1f} s)"
        step, _, steps = event.detail.partition("/") if what == "step" else ("0", "", "0")
        self.listen(News(what, of, name, unit, int(step), int(steps), said))

    def _of_work(self, unit: str, what: What) -> tuple[Of, str, str]:
        """What it was, how it is called, and how it ended. A trial with the seed and settings
        of a cell is the cell's run; once that is graded, the cell has ended."""
        planned = self._cell(unit)
        said = self._of_cell(planned) if planned and what == "ended" else ""
        if unit in self.trials and not said:
            return "trial", self.trials[unit], self._of_trial(unit)
        return "cell", planned.name if planned else unit[:12], said

    def _cell(self, unit: str) -> PlannedCell | None:
        if unit not in self._cells:
            for one in self.cells():
                self._cells[one.cell.train.id if one.cell.train else one.cell.id] = one
        return self._cells.get(unit)

    def _of_cell(self, planned: PlannedCell) -> str:
        """Its score, or why it has none; nothing where it has not ended, and was trained alone."""
        from peftbench.report import numbers
        from peftbench.report.table import counted

        record = self.store.record(planned)
        if record is None:
            return ""
        if record.status != "finished":
            return f"{record.status}: {_first_line(record.error)}"
        headline, sets = record.headline, len(record.evaluations)
        score = (
            f"{headline.metric} {numbers.score(headline.value)}"
            if headline
            else "its headline is unavailable"
        )
        return f"{score}, and {counted(sets, 'perturbed set')}" if sets else score

    def _of_trial(self, unit: str) -> str:
        from peftbench.report import numbers

        run = self.store.results.by_id([unit])
        outcome = run[unit].outcome if unit in run else None
        if not isinstance(outcome, Trained):
            return "given up, for it fell behind the others"
        if outcome.status != "finished":
            return f"{outcome.status}: {_first_line(outcome.error)}"
        best = next(one for one in outcome.validations if one.step == outcome.best_step)
        return f"validation {numbers.score(best.score)}"


def _first_line(text: str | None) -> str:
    return (text or "").partition("\n")[0]
