"""The application: every public module of this folder adds its command."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    name="peftbench",
    help="Compare parameter-efficient fine-tuning methods: scores, costs, and how sure.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _version(wanted: bool) -> None:
    if wanted:
        import peftbench
        from peftbench.cli._say import say

        say(f"peftbench {peftbench.__version__}")
        raise typer.Exit


@app.callback()
def _common(
    _version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")
    ] = False,
) -> None:
    pass


for _path in sorted(Path(__file__).parent.glob("[a-z]*.py")):
    importlib.import_module(f"peftbench.cli.{_path.stem}")
