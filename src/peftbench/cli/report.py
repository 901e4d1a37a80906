"""`peftbench report`: the results of a store in a format of choice."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from peftbench.cli import _options as options
from peftbench.cli._app import app


class Format(StrEnum):
    """What a report can be written as."""

    html = "html"
    md = "md"
    latex = "latex"
    csv = "csv"
    json = "json"


@app.command()
def report(
    store: options.ExistingStore,
    format_: Annotated[
        Format, typer.Option("--format", help="Of the output.")
    ] = Format.html,
    benchmark: options.BenchmarkName = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="File; default report.html in the store for "
            "html, else standard output; - is standard output.",
        ),
    ] = None,
) -> None:
    """Write the results of a benchmark: a page, tables for a paper, or data."""
    from peftbench import api
    from peftbench.store import Store
    from peftbench.store._files import explained

    opened = Store.open(store, create=False)
    try:
        results = api.results(opened, benchmark)
    finally:
        opened.close()
    text = results.render(format_.value)
    if output is None and format_ is Format.html:
        output = store / "report.html"
    if output is None or str(output) == "-":
        sys.stdout.write(text)
        return
    with explained(output.parent):
        output.write_text(text, "utf-8")
    print(output)
