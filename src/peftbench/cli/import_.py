"""`peftbench import`: results that other tools wrote, into a store."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from peftbench.cli._app import app

imports = typer.Typer(
    name="import",
    help="Bring results of other tools into a store, as what they are: imported.",
    no_args_is_help=True,
)
app.add_typer(imports)

_Folder = Annotated[Path, typer.Argument(metavar="DIR", help="Folder of its results.")]
_Store = Annotated[
    Path, typer.Option("--store", help="Folder of the store; made if missing.")
]
_Name = Annotated[str, typer.Option("--name", help="Of the benchmark they become.")]


@imports.command("hf-method-comparison")
def hf_method_comparison(
    folder: _Folder, store: _Store, name: _Name = "hf-method-comparison"
) -> None:
    """Import result files of Hugging Face peft's method comparison (MetaMathQA)."""
    from peftbench.imports import hf_method_comparison as tool
    from peftbench.imports import keep
    from peftbench.store import Store

    runs = tool.read(folder)
    opened = Store.open(store)
    try:
        spec = {
            "name": name,
            "description": "Imported results of Hugging Face peft's method comparison",
            "protocol": tool.TOOL,
        }
        outcome = keep(opened, name, spec, runs)
    finally:
        opened.close()
    print(f"{outcome.benchmark}: {outcome.added} runs added, {outcome.known} known before")
    print(f"peftbench report --store {store} --benchmark {name}")
