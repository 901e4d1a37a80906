"""`peftbench export`: records, scores and predictions as files for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from peftbench.cli import _options as options
from peftbench.cli._app import app
from peftbench.cli._say import say


@app.command()
def export(
    store: options.ExistingStore,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder; made if missing.")
    ],
    benchmark: options.BenchmarkName = None,
    bundle: Annotated[
        bool,
        typer.Option(
            "--bundle", help="Instead: all results and files, for `import bundle`."
        ),
    ] = False,
) -> None:
    """Write records, steps, costs, scores and predictions as JSON lines and Parquet."""
    from peftbench.store import Store
    from peftbench.store.export import export as write
    from peftbench.store.transfer import bundle as pack

    with Store.open(store, create=False) as opened:
        if bundle:
            say(pack(opened, output, [benchmark] if benchmark else []))
            return
        for path in write(opened, output, benchmark):
            say(path)
