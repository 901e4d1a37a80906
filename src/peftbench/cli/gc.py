"""`peftbench gc`: what a store can do without."""

from __future__ import annotations

from typing import Annotated

import typer

from peftbench.cli import _options as options
from peftbench.cli._app import app
from peftbench.cli._say import say


@app.command()
def gc(
    store: options.ExistingStore,
    yes: Annotated[bool, typer.Option("--yes", help="Free it.")] = False,
) -> None:
    """Say what a store can do without, and with --yes free it.

    That is adapters that nothing wanted needs, of benchmarks without `keep_adapters`, and what
    kills have left behind. An adapter that is wanted again is trained again.
    """
    from peftbench.report.numbers import si
    from peftbench.store import Store, transfer

    with Store.open(store, create=False) as opened:
        found = transfer.to_free(opened)
        for one in found.adapters:
            say(f"adapter {one.step.id[:12]}")
        for folder in found.folders:
            say(f"left behind {folder}")
        size = si(found.bytes, "B")
        if not found.adapters and not found.folders:
            say("nothing to free")
        elif yes:
            transfer.free(opened, found)
            say(f"{size} freed")
        else:
            say(f"{size} to free; --yes frees it")
