"""`peftbench store`: stores as a whole: merged, copied, checked, upgraded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from peftbench.cli import _options as options
from peftbench.cli._app import app
from peftbench.cli._say import say

if TYPE_CHECKING:
    from peftbench.store.transfer import Transferred

stores = typer.Typer(
    name="store",
    help="Stores as a whole: merge, copy, check, upgrade.",
    no_args_is_help=True,
)
app.add_typer(stores)

_Benchmarks = Annotated[
    list[str] | None,
    typer.Option("--benchmark", help="These alone; may be given again. Default: all."),
]


@stores.command()
def merge(
    sources: Annotated[
        list[Path], typer.Argument(metavar="STORE...", help="To take from.")
    ],
    store: Annotated[Path, typer.Option("--store", help="To bring into; made if missing.")],
    benchmark: _Benchmarks = None,
) -> None:
    """Bring the results of other stores into one.

    Nothing is written over: where two have other numbers for the same step, the one that is
    there stays, and `check` shows both. Exit codes: 0 merged, 1 merged with contradictions,
    2 wrong usage.
    """
    from peftbench.store import Store, transfer

    contradicted = 0
    with Store.open(store) as target:
        for source in sources:
            with Store.open(source, create=False) as opened:
                found = transfer.merge(target, opened, benchmark or ())
            say(f"{source}: {_said(found)}")
            contradicted += len(found.contradictions)
    if contradicted:
        say(f"Look at them with `peftbench store check --store {store}`.")
        raise typer.Exit(1)


@stores.command()
def copy(
    target: Annotated[Path, typer.Argument(metavar="FOLDER", help="Of the new store.")],
    store: options.ExistingStore,
    benchmark: _Benchmarks = None,
) -> None:
    """Copy a store, or some of its benchmarks, into a new one."""
    from peftbench.store import Store, transfer

    with Store.open(store, create=False) as opened:
        say(f"{target}: {_said(transfer.copy(opened, target, benchmark or ()))}")


@stores.command()
def check(store: options.ExistingStore) -> None:
    """Read everything: the digest of every result and file, and contradictions.

    Exit codes: 0 all is as it was written, 1 something is not, 2 wrong usage.
    """
    from peftbench.store import Contradiction, Store, transfer

    faults = 0
    with Store.open(store, create=False) as opened:
        total = len(opened.results.step_ids())
        for one in transfer.check(opened):
            faults += 1
            if isinstance(one, Contradiction):
                stored = opened.results.by_id([one.step_id])[one.step_id]
                say(f"{one.step_id[:12]}: {one.origin} has other numbers:")
                for line in transfer.differences(stored, one):
                    say(f"  {line}")
            else:
                say(f"{one.what[:12]}: {one.reason}")
    say(f"{total} results read, {faults} fault{'s' * (faults != 1)}")
    raise typer.Exit(1 if faults else 0)


@stores.command()
def upgrade(
    store: options.ExistingStore,
    target: Annotated[
        Path | None, typer.Option("--to", help="Of the new store; default STORE-2.")
    ] = None,
    _plugins: options.Plugins = None,
) -> None:
    """Write a store of an earlier version into a new one, with every number.

    The old one is left as it is."""
    from peftbench.store.upgrade import upgrade as rewrite

    place = target or store.with_name(f"{store.name}-2")
    outcome = rewrite(store, place)
    for line in outcome.notes:
        say(line)
    say(
        f"{place}: {outcome.cells} cells of {outcome.benchmarks} benchmarks, "
        f"{outcome.steps} results"
    )


def _said(found: Transferred) -> str:
    said = f"{found.added} results added, {found.known} known before"
    if found.contradictions:
        said += f", {len(found.contradictions)} of them with other numbers"
    return said
