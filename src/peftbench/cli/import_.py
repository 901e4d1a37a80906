"""`peftbench import`: results that other tools wrote, into a store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from peftbench.cli._app import app
from peftbench.cli._say import say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from peftbench.imports.peft_factory import ByProtocol

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
    say(f"{outcome.benchmark}: {outcome.added} runs added, {outcome.known} known before")
    say(f"peftbench report --store {store} --benchmark {name}")


@imports.command("bundle")
def bundle(folder: _Folder, store: _Store) -> None:
    """Bring a bundle into a store: what `export --bundle` wrote. Nothing is written over.

    Exit codes: 0 all is in, 1 with contradictions, 2 wrong usage.
    """
    from peftbench.store import Store
    from peftbench.store.transfer import unbundle

    with Store.open(store) as opened:
        found = unbundle(opened, folder)
    say(f"{found.added} results added, {found.known} known before")
    if found.contradictions:
        say(
            f"{len(found.contradictions)} of them have other numbers here: "
            f"`peftbench store check --store {store}` shows them."
        )
        raise typer.Exit(1)


@imports.command("peft-factory")
def peft_factory(folder: _Folder, store: _Store, name: _Name = "peft-factory") -> None:
    """Import output folders of PEFT-Factory: scored by both protocols, differences shown."""
    from peftbench.cli._print import Terminal, plain_table
    from peftbench.imports import keep
    from peftbench.imports import peft_factory as tool
    from peftbench.store import Store

    scored = tool.read(folder)
    console = Terminal(highlight=False)
    plain_table(console, _TITLES, _rows(scored))
    for one in scored:
        if one.run is None:
            say(f"{one.output.folder}: not scored by {one.protocol}: {one.reason}")
        if one.protocol == tool.PROTOCOLS[0] and one.output.is_on_training_rows:
            say(f"{one.output.folder}: evaluated on training rows, as its YAML tells")
    opened = Store.open(store)
    try:
        for protocol in tool.PROTOCOLS:
            runs = [one.run for one in scored if one.run and one.protocol == protocol]
            if runs:
                benchmark = f"{name}-{protocol}"
                spec = {
                    "name": benchmark,
                    "description": "Imported predictions of PEFT-Factory, scored by "
                    f"the protocol {protocol}",
                    "protocol": protocol,
                }
                outcome = keep(opened, benchmark, spec, runs)
                say(
                    f"{benchmark}: {outcome.added} runs added, {outcome.known} known before"
                )
    finally:
        opened.close()
    say("Why the two differ: docs/protocols.md. Each has a report of its own, such as:")
    say(f"peftbench report --store {store} --benchmark {name}-strict")


_TITLES = ["method", "task", "seed", "peft-bench", "strict", "difference", "rows otherwise"]


def _rows(scored: Sequence[ByProtocol]) -> list[list[str]]:
    """One line for each folder: both headlines, times 100, and how far they are apart."""
    from peftbench.report.numbers import NOTHING, score

    lines = []
    for theirs, ours in zip(scored[::2], scored[1::2], strict=True):
        run = theirs.run or ours.run
        values = [
            one.run.graded[1].scores[0] if one.run and one.run.graded else None
            for one in (theirs, ours)
        ]
        known = [value for value in values if value is not None]
        lines.append(
            [
                run.planned.label if run else theirs.output.method,
                theirs.output.dataset,
                NOTHING if theirs.output.seed is None else str(theirs.output.seed),
                *(
                    f"{score(v.value)} {v.metric.removeprefix('peft_bench_')}"
                    if v
                    else NOTHING
                    for v in values
                ),
                score(known[0].value - known[1].value) if len(known) == 2 else NOTHING,
                _otherwise(theirs.run, ours.run),
            ]
        )
    return lines


def _otherwise(theirs: Any, ours: Any) -> str:
    """How many rows are right by one protocol and wrong by the other; – where a row is not
    right or wrong by itself."""
    from peftbench.report.numbers import NOTHING

    if theirs is None or ours is None:
        return NOTHING
    if len(theirs.marks) != len(ours.marks):
        return NOTHING
    pairs = [
        (first.score, second.score)
        for first, second in zip(theirs.marks, ours.marks, strict=True)
    ]
    if any(value not in (0.0, 1.0) for pair in pairs for value in pair):
        return NOTHING
    return f"{sum(first != second for first, second in pairs)} of {len(pairs)}"
