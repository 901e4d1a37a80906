"""`peftbench check-method`: hold a method to what every method must keep."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from peftbench.cli import _options as options
from peftbench.cli._app import app
from peftbench.cli._say import say

if TYPE_CHECKING:
    from peftbench.testing.trial import ModelFactory


@app.command("check-method")
def check_method(
    method: Annotated[
        str, typer.Argument(metavar="NAME|FILE", help="A name, or a plug-in's file.")
    ],
    model: Annotated[
        str | None,
        typer.Option(help="Check on this model, instead of random ones of all kinds."),
    ] = None,
    _plugins: options.Plugins = None,
    as_json: options.Json = False,
) -> None:
    """Run every check on a method, and say what each one saw.

    Exit codes: 0 all passed, 1 some did not, 2 wrong usage or a file that does not load.
    """
    from peftbench import methods
    from peftbench.methods._card import card

    name = method
    if method.endswith(".py"):
        from peftbench.catalogue import plug_in

        plug_in([Path(method)])
        name = Path(method).stem
    name = methods.CATALOGUE.canonical(name)
    found = card(name)

    from peftbench.testing.examination import examine

    seen = []
    part = ""
    if not as_json:
        source = methods.CATALOGUE.source(name) or "comes with peftbench"
        say(f"{name} ({found.family}; {source})\npaper: {found.paper}")
    for one in examine(name, _factory(model) if model else None):
        seen.append(one)
        if as_json:
            continue
        if one.part != part:
            part = one.part
            say(f"\n{part}")
        say(f"  {'passed' if one.passed else 'FAILED'}  {one.check}: {one.detail}")
        if not one.passed:
            say(f"          it must hold: {one.about}")
    failed = [one for one in seen if not one.passed]
    if as_json:
        say(json.dumps({"method": name, "findings": [asdict(s) for s in seen]}, indent=2))
    elif failed:
        say(f"\n{len(failed)} of {len(seen)} checks failed.")
    else:
        say(f"\nAll {len(seen)} checks passed.")
    if failed:
        raise typer.Exit(1)


def _factory(name: str) -> ModelFactory:
    """Copies of a model, which is loaded once, in float32 on the CPU."""
    import copy

    from peftbench.models import resolve
    from peftbench.models._load import load
    from peftbench.spec import ModelChoice

    model = load(resolve(ModelChoice(name=name)), "float32").model.to("cpu")
    return lambda: copy.deepcopy(model)
