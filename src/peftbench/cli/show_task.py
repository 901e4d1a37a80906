"""`peftbench show-task`: what a model meets."""

from __future__ import annotations

import statistics
from collections import Counter
from typing import Annotated, Any

import typer

from peftbench.cli import _options as options
from peftbench.cli._app import app

#: Examples of each split whose tokens are counted.
_COUNTED = 1000


@app.command("show-task")
def show_task(
    task: Annotated[str, typer.Argument(help="A task's name.")],
    model: Annotated[str, typer.Option(help="Whose tokenizer and chat template.")] = "tiny",
    data_dir: options.DataDir = None,
    protocol: options.Protocol = "strict",
) -> None:
    """Show a rendered example of a task, its token counts and its class balance."""
    from peftbench import api, tasks
    from peftbench.cli._print import Terminal
    from peftbench.encoding.encode import encoder_for
    from peftbench.models import resolve
    from peftbench.spec import ModelChoice
    from peftbench.tasks._data import load_task_data

    task = tasks.use(task)
    found = tasks.get(task, protocol)
    source = resolve(ModelChoice(name=model))
    limits: dict[Any, int | None] = {}
    folder = api.data_folder(data_dir)
    data = load_task_data(task, data_dir=folder, limits=limits, protocol=protocol)
    console = Terminal(highlight=False, soft_wrap=True)
    kind = "generated" if found.is_generated else found.hub_id
    console.print(f"{data.name}: {found.description}", style="bold")
    console.print(f"source: {kind} ({data.identity}); licence: {found.license}")
    if found.sizes:
        sizes = ", ".join(f"{split} {n:,}" for split, n in found.sizes.items())
        console.print(f"rows on the hub: {sizes}")
    if found.grouped_by:
        console.print(f"rows about one {found.grouped_by} stay in one split")
    console.print(
        f"metrics: {', '.join(found.metrics)}; protocol {protocol}, version {found.version}"
    )
    encoder = encoder_for(source)
    console.print(f"answers end at: {', '.join(encoder.end_tokens)}")
    example = data.examples["train"][0]
    console.print("\nprompt", style="bold")
    console.print(encoder.render(example.prompt))
    console.print("completion", style="bold")
    console.print(example.completion)
    console.print("target", style="bold")
    console.print(example.target + "\n")
    for split, rows in data.examples.items():
        counted = [encoder.encode_example(row) for row in rows[:_COUNTED]]
        lengths = [len(row) for row in counted]
        line = (
            f"{split}: {len(rows)} examples; tokens of prompt and answer: median "
            f"{statistics.median(lengths):.0f}, longest {max(lengths)}"
        )
        console.print(line + (f" (of the first {_COUNTED})" * (len(rows) > _COUNTED)))
        if found.labels:
            classes = Counter(row.target for row in rows)
            balance = (
                f"{label} {classes[label] / len(rows):.1%}" for label in found.labels
            )
            console.print(f"  classes: {', '.join(balance)}")
    for pair, number in data.duplicate_prompts.items():
        if number:
            console.print(f"{number} prompts stand in both {pair}")
