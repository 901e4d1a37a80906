"""`peftbench show-method`: the card of a method."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from peftbench.cli import _options as options
from peftbench.cli._app import app
from peftbench.cli._say import say

if TYPE_CHECKING:
    from peftbench.methods._card import Card


@app.command("show-method")
def show_method(
    method: Annotated[str, typer.Argument(help="A method's name.")],
    _plugins: options.Plugins = None,
    as_json: options.Json = False,
) -> None:
    """Show a method: formula, paper, settings, what it needs, how much it trains."""
    from peftbench.methods._card import card

    found = card(method)
    if as_json:
        say(json.dumps(asdict(found), indent=2))
        return
    from rich.table import Table
    from rich.text import Text

    from peftbench.cli._print import Terminal

    console = Terminal(highlight=False)
    console.print(f"{found.name} ({found.family})", style="bold")
    console.print(f"\n{_flowing(found.about)}\n")
    facts = Table.grid(padding=(0, 2))
    for title, text in _facts(found):
        facts.add_row(Text(title), Text(text))
    console.print(facts)


def _flowing(text: str) -> str:
    """Each paragraph on one line, for the terminal to break where it ends."""
    return "\n\n".join(part.replace("\n", " ") for part in text.split("\n\n"))


def _facts(card: Card) -> Iterator[tuple[str, str]]:
    yield "placement", card.placement
    yield "paper", card.paper
    yield "settings", ", ".join(f"{k} {_said(v)}" for k, v in card.settings.items())
    yield "defaults from", card.defaults_from
    training = ", ".join(f"{k} {v}" for k, v in card.training.items())
    yield "training", training or "trains nothing"
    yield "identity at start", _yes(card.identity_at_start)
    yield "mergeable", _yes(card.mergeable)
    yield "backward through base", _yes(card.needs_backward_through_base)
    yield "budget knob", card.budget_knob or "none: one size only"
    for model, count in card.trainable.items():
        text = "does not fit this model" if count is None else f"{count:,} parameters"
        yield f"trained on {model}", text
    for model_type, reason in card.unsupported.items():
        yield f"not on {model_type}", reason


def _said(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _yes(value: bool) -> str:
    return "yes" if value else "no"
