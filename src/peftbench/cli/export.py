"""`peftbench export`: records, scores and predictions as files for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from peftbench.cli import _options as options
from peftbench.cli._app import app


@app.command()
def export(
    store: options.ExistingStore,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder; made if missing.")
    ],
    benchmark: options.BenchmarkName = None,
) -> None:
    """Write records.jsonl, costs.jsonl, scores.parquet and predictions.parquet."""
    from peftbench.store import Store
    from peftbench.store.export import export as write

    opened = Store.open(store, create=False)
    try:
        for path in write(opened, output, benchmark):
            print(path)
    finally:
        opened.close()
