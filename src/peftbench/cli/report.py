"""`peftbench report`: the results of a store in a format of choice."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from peftbench.cli import _options as options
from peftbench.cli._app import app
from peftbench.cli._say import say
from peftbench.errors import InvalidSpec

if TYPE_CHECKING:
    from peftbench.scoring import Summary


class Format(StrEnum):
    """What a report can be written as."""

    html = "html"
    md = "md"
    latex = "latex"
    csv = "csv"
    json = "json"


@app.command()
def report(
    published: Annotated[
        str | None,
        typer.Argument(
            metavar="[PUBLISHED]", help="Instead of --store: published/peft-bench-v1."
        ),
    ] = None,
    store: options.StoreOption = None,
    format_: Annotated[
        Format, typer.Option("--format", help="Of the output.")
    ] = Format.html,
    benchmark: options.BenchmarkName = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="File; default report.html in the store (or in this folder) for "
            "html, else standard output; - is standard output.",
        ),
    ] = None,
) -> None:
    """Write the results of a benchmark: a page, tables for a paper, or data."""
    from peftbench.report import render
    from peftbench.store._files import explained

    summary = _summary(published, store, benchmark)
    text = render(summary, format_.value)
    if output is None and format_ is Format.html:
        output = store / "report.html" if store else Path(f"{summary.name}.html")
    if output is None or str(output) == "-":
        sys.stdout.write(text)
        return
    with explained(output.parent):
        output.write_text(text, "utf-8")
    say(output)


def _summary(published: str | None, store: Path | None, benchmark: str | None) -> Summary:
    """Of a publication that ships with the package, or of a benchmark in a store."""
    if (published is None) == (store is None):
        raise InvalidSpec(
            "Give either --store with a folder of results, or a publication such as "
            "published/peft-bench-v1 (`peftbench list publications`)."
        )
    if published is not None:
        from peftbench.published import read, summary_of

        if benchmark is not None:
            raise InvalidSpec("--benchmark chooses among those of a --store.")
        return summary_of(read(published))
    from peftbench.results import results
    from peftbench.store import Store

    assert store is not None
    with Store.open(store, create=False) as opened:
        return results(opened, benchmark).summary
