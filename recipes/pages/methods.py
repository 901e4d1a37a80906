"""The page of all methods, docs/methods.md, from their files:

python -m recipes.pages.methods > docs/methods.md
"""

from __future__ import annotations

import json
import typing
from collections.abc import Iterator, Sequence

from peftbench import methods
from peftbench.methods import Family
from peftbench.methods._card import REFERENCES, Card, card

_HEAD = """# Methods

Every method that `peftbench list methods` knows. This page is made from their files:
`python -m recipes.pages.methods > docs/methods.md`. `peftbench show-method NAME` prints one of
these sections, [the spec](spec.md#a-method) says how to change a setting or give a budget, and
[CONTRIBUTING](../CONTRIBUTING.md) how to add a method.

The tables say what a method is; each one's section gives its formula, the settings with their
defaults and where these are from, and how many parameters it trains on three well-known models.

- *identity*: untrained, it computes what the base model computes.
- *merges*: it can be folded into the base's weights, and then costs nothing at inference.
- *backward*: gradients pass through the base's layers, whose activations must then be kept.
- *knob*: the setting that a [budget](spec.md#budget) turns.
- *learning rate*: the peak where a spec says nothing, found on models of billions of parameters;
  a small model wants more ([those of the quickstart](decisions/0004-quickstart-learning-rates.md)).
"""


def page() -> str:
    """The whole page, in Markdown."""
    cards = [card(name) for name in methods.CATALOGUE.own_names()]
    parts = [_HEAD, f"{len(cards)} methods."]
    for family in typing.get_args(Family):
        members = [one for one in cards if one.family == family]
        if members:
            title = family[0].upper() + family[1:]
            parts += [f"\n## {title}\n", *_table(members), *map(_section, members)]
    return "\n".join(parts)


def _table(cards: Sequence[Card]) -> Iterator[str]:
    yield (
        "| method | placement | identity | merges | backward | knob | learning rate | "
        f"trained on {next(iter(REFERENCES))} | paper |"
    )
    yield "|---|---|---|---|---|---|---:|---:|---|"
    for one in cards:
        count = next(iter(one.trainable.values()))
        cells = [
            f"[`{one.name}`](#{one.name})",
            one.placement,
            _yes(one.identity_at_start),
            _yes(one.mergeable),
            _yes(one.needs_backward_through_base),
            f"`{one.budget_knob}`" if one.budget_knob else "–",
            f"{one.learning_rate:g}" if one.learning_rate else "–",
            "–" if count is None else f"{count:,}",
            one.paper,
        ]
        yield f"| {' | '.join(cells)} |"


def _section(one: Card) -> str:
    lines = [f"\n### {one.name}\n", "```text", one.about, "```\n"]
    settings = ", ".join(f"{k}: {json.dumps(v)}" for k, v in one.settings.items())
    lines.append(f"- settings: `{{{settings}}}`")
    lines.append(f"- defaults: {one.defaults_from}")
    if one.training:
        said = ", ".join(f"{k}: {json.dumps(v)}" for k, v in one.training.items())
        lines.append(f"- training: `{{{said}}}`")
    counts = [f"{m} {n:,}" for m, n in one.trainable.items() if n is not None]
    lines.append(f"- trained parameters: {'; '.join(counts) or 'depends on the model'}")
    lines += [f"- not on `{kind}`: {reason}" for kind, reason in one.unsupported.items()]
    return "\n".join(lines)


def _yes(value: bool) -> str:
    return "yes" if value else "no"


if __name__ == "__main__":
    print(page())
