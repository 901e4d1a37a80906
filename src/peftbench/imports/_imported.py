"""One imported run, and how imported runs get into a store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from peftbench.errors import StoreError
from peftbench.manifest import Manifest
from peftbench.store import (
    PlannedCell,
    Prediction,
    Record,
    Store,
    Worker,
    predictions_file,
    write_predictions,
)

#: Writing one import takes no time at all.
_LEASE_SECONDS = 120.0


@dataclass(frozen=True, kw_only=True)
class Imported:
    """A run of another tool: what the report calls it, its record, its rows if any."""

    planned: PlannedCell
    record: Record
    predictions: Sequence[Prediction] = ()


@dataclass(frozen=True)
class Outcome:
    """What `keep` did."""

    benchmark: str
    added: int
    known: int  # were in the store already, from the same files


def keep(
    store: Store, benchmark: str, spec: Mapping[str, str], runs: Sequence[Imported]
) -> Outcome:
    """Put imported runs into a store, as a benchmark of their own.

    What comes from files that were imported before is not written again. Runs of another
    import of the same name stay in the benchmark, unless they bear the same names as new
    ones: then the new ones are shown.
    """
    known = store.records(run.planned.cell.id for run in runs)
    for run in runs:
        if run.planned.cell.id not in known:
            _commit(store, run)
    cells = [run.planned for run in runs]
    names = {_name(planned) for planned in cells}
    earlier = next((b.cells for b in store.benchmarks() if b.name == benchmark), ())
    kept = [planned for planned in earlier if _name(planned) not in names]
    store.add_benchmark(
        benchmark, origin=f"import of {benchmark}", spec=spec, cells=[*kept, *cells]
    )
    return Outcome(benchmark, len(runs) - len(known), len(known))


def now() -> str:
    """The time in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def manifest(
    *,
    started_at: str = "",
    platform: str = "",
    device: str = "",
    packages: Mapping[str, str] | None = None,
) -> Manifest:
    """What an import tells of where and with what it was made, and nothing more."""
    return Manifest(
        started_at=started_at,
        finished_at="",
        host="",
        platform=platform,
        device=device,
        threads=0,
        packages=packages or {},
        git_commit=None,
        git_dirty=None,
        initial_adapter_sha256=None,
        chat_template=None,
    )


def _name(planned: PlannedCell) -> tuple[str, str, str, int | None]:
    return planned.model, planned.label, planned.cell.task.name, planned.cell.seed


def _commit(store: Store, run: Imported) -> None:
    cell_id = run.planned.cell.id
    lease = store.claim([cell_id], Worker.here(), lease_seconds=_LEASE_SECONDS)
    if lease is None:
        raise StoreError(
            f"Another process is importing {cell_id[:12]} into {store.folder}. Let it finish."
        )
    files: Path | None = None
    if run.predictions:
        files = store.staging(lease)
        write_predictions(files / predictions_file(), run.predictions)
    store.commit(lease, run.record, files)
