"""From a perturbed set's name to examples that ask a task's own question."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from peftbench import tasks
from peftbench.errors import DataError
from peftbench.tasks import perturbations
from peftbench.tasks._data import checked_example, limited, missing_fields
from peftbench.tasks._fields import shown
from peftbench.tasks._sources import FolderSource, HubSource, Source, SplitRows, the_file
from peftbench.tasks._task import Example, Row, Task
from peftbench.tasks.perturbations._perturbation import Perturbation, Reading

#: Folder of the data folder that holds the sets' files.
FOLDER = "robustness"


@dataclass(frozen=True, kw_only=True)
class PerturbedData:
    """The rows of a perturbed set, as examples of one task."""

    name: str
    task: str
    reading: Reading
    version: int
    examples: tuple[Example, ...]
    rows_not_asked: int
    source: str
    identity: str  # as `TaskData.identity`


def find_perturbed_source(name: str, task: str, data_dir: Path | None) -> Source | None:
    """Where the rows of the set are: its file in `data_dir`, else, without a `data_dir`,
    the hub. None where there is neither."""
    found, task = perturbations.get(name), tasks.CATALOGUE.canonical(task)
    if data_dir is not None:
        path = the_file(data_dir / FOLDER, found.file or name)
        return FolderSource({"test": path}) if path else None
    if found.hub_id is None:
        return None
    return HubSource(_hub_task(found, tasks.get(task), found.readings[task]))


def load_perturbed(
    name: str, task: str, *, data_dir: Path | None, limit: int | None
) -> PerturbedData:
    """The set's rows asked as those of `task`, at most `limit` of them.

    Which rows are taken follows from their content, as for a task's own splits. Raises
    `DataError` for rows that are missing, broken or do not fit.
    """
    found, parent = perturbations.get(name), tasks.get(task)
    source = find_perturbed_source(name, task, data_dir)
    if source is None:
        raise DataError(_no_rows(name, found, data_dir))
    reading = found.readings[tasks.CATALOGUE.canonical(task)]
    rows = source.read("test")
    examples = _examples(found, reading, parent, rows)
    if not examples:
        raise DataError(f"{rows.origin} has no row of {name} that can be asked as {task}.")
    return PerturbedData(
        name=name,
        task=task,
        reading=reading,
        version=found.version,
        examples=limited(f"{name}|{task}", examples, limit),
        rows_not_asked=len(rows.rows) - len(examples),
        source=source.description,
        identity=source.identity,
    )


def _examples(
    found: Perturbation, reading: Reading, task: Task, rows: SplitRows
) -> Sequence[Example]:
    examples = []
    for index, row in enumerate(rows.rows):
        try:
            example = _example(found, reading, task, row)
        except DataError as error:
            raise DataError(f"{rows.place(index)}: {error}") from error
        except Exception as error:
            raise DataError(
                f"{rows.place(index)}: the set cannot use this row "
                f"({type(error).__name__}: {error}). Row: {shown(row)}"
            ) from error
        if example is not None:
            examples.append(example)
    return examples


def _example(found: Perturbation, reading: Reading, task: Task, row: Row) -> Example | None:
    missing_fields(found.fields, row)
    asked = reading.to_row(row)
    if asked is None:
        return None
    example = checked_example(task, asked)
    merged = reading.merged(example.target)
    assert merged is not None
    return replace(example, target=merged)


def _hub_task(found: Perturbation, task: Task, reading: Reading) -> Task:
    """What `HubSource` reads: the set's place on the hub under the task's name."""
    return replace(
        task,
        hub_id=found.hub_id,
        subset=reading.subset,
        revision=found.revision,
        splits={"test": reading.split},
        further_tests={},
    )


def _no_rows(name: str, found: Perturbation, data_dir: Path | None) -> str:
    where = f"{data_dir or '<data folder>'}/{FOLDER}/{found.file or name}.jsonl.gz"
    hub = (
        f"The hub has it as {found.hub_id}; leave --data-dir out to load it from there"
        if found.hub_id
        else "The hub has no copy that can be read"
    )
    return (
        f"No rows for the perturbed set {name!r}: expected {where} (or .jsonl, .parquet) with "
        f"the fields {', '.join(found.fields)}. {hub}. Source: {found.upstream}."
    )
