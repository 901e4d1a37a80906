"""What only rows and tokenizers can tell, looked at before anything runs.

A plan is made without them. What would fail in every cell is told here once, with what to do.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from peftbench import tasks
from peftbench.encoding.encode import encoder_for
from peftbench.encoding.labels import label_troubles
from peftbench.errors import InvalidSpec, ModelError
from peftbench.models import ModelSource
from peftbench.spec import Protocol
from peftbench.store import PlannedCell
from peftbench.tasks._data import load_task_data


def check_own_rows(cells: Collection[PlannedCell], data_dir: Path | None) -> None:
    """Read the rows that a user's own task files name; raises `DataError`, with file and
    row, for one that cannot be used."""
    for name, protocol in dict.fromkeys((c.cell.task.name, c.cell.protocol) for c in cells):
        if tasks.get(name, protocol).own_files:
            load_task_data(name, data_dir=data_dir, limits={}, protocol=protocol)


def check_tokenizer(
    source: ModelSource, *, chat_template: bool, named: Collection[tuple[str, Protocol]]
) -> None:
    """Make sure that a model's tokenizer can ask these tasks; raises `ModelError` for a chat
    template that cannot be used, and `InvalidSpec` for labels that cannot be told apart."""
    encoder = encoder_for(source, chat_template=chat_template)
    try:
        encoder.check_template()
    except ModelError as error:
        raise ModelError(f"{source.name}: {error}") from error
    for name, protocol in named:
        if troubles := label_troubles(tasks.get(name, protocol), encoder):
            raise InvalidSpec(
                f"{name} cannot be scored on {source.name}: {' '.join(troubles)} Name the "
                "labels otherwise, or leave the task out for this model."
            )
