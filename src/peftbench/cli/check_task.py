"""`peftbench check-task`: what a model meets, and what is wrong with the rows."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from peftbench.cli import _options as options
from peftbench.cli._app import app
from peftbench.cli._say import say

if TYPE_CHECKING:
    from peftbench.encoding.encode import Encoder
    from peftbench.tasks._check import Checked


@app.command("check-task")
def check_task(
    task: Annotated[str, typer.Argument(help="A task's name, or its YAML file.")],
    model: Annotated[str, typer.Option(help="Whose tokenizer and context.")] = "tiny",
    data_dir: options.DataDir = None,
    as_json: options.Json = False,
) -> None:
    """Read all rows of a task and say what is wrong with them.

    Exit codes: 0 nothing that invalidates scores, 1 something, 2 wrong usage.
    """
    from peftbench import api, tasks
    from peftbench.encoding.encode import encoder_for
    from peftbench.encoding.labels import label_troubles
    from peftbench.evaluation import metrics
    from peftbench.evaluation.fit import metric_troubles
    from peftbench.models import resolve
    from peftbench.spec import ModelChoice, TrainingSection
    from peftbench.tasks._check import Finding
    from peftbench.tasks._check import check_task as check
    from peftbench.tasks._sources import find_source

    name = tasks.CATALOGUE.canonical(tasks.use(task))
    found = tasks.get(name)
    for metric in found.metrics:
        metrics.get(metric)
    source = find_source(name, found, api.data_folder(data_dir))
    chosen = resolve(ModelChoice(name=model))
    encoder = encoder_for(chosen)
    encoder.tokenizer.model_max_length = sys.maxsize  # too long is what we look for
    positions = chosen.config.get("max_position_embeddings") or TrainingSection().max_length
    checked = check(
        name,
        found,
        source,
        count_tokens=lambda example: len(encoder.encode_example(example)),
        special_tokens=encoder.special_tokens_in,
        longest=min(TrainingSection().max_length, int(positions)),
    )
    troubles = [
        Finding("labels", f"{trouble} (Of {model}.)", invalidates=True)
        for trouble in label_troubles(found, encoder)
    ]
    rows = () if found.example_row else checked.examples
    troubles += [
        Finding("metric", trouble, invalidates=True)
        for trouble in metric_troubles(found, rows)
    ]
    checked = replace(checked, findings=[*troubles, *checked.findings])
    if as_json:
        say(json.dumps(_as_json(checked, encoder), indent=2))
    else:
        _print(checked, encoder)
    raise typer.Exit(0 if checked.is_valid else 1)


def _as_json(checked: Checked, encoder: Encoder) -> dict[str, Any]:
    return {
        "name": checked.name,
        "source": checked.source,
        "identity": checked.identity,
        "is_valid": checked.is_valid,
        "splits": {split: asdict(facts) for split, facts in checked.splits.items()},
        "examples": [
            {
                "prompt": encoder.render(example.prompt),
                "completion": example.completion,
                "target": example.target,
            }
            for example in checked.examples
        ],
        "findings": [asdict(finding) for finding in checked.findings],
    }


def _print(checked: Checked, encoder: Encoder) -> None:
    from peftbench.cli._print import Terminal

    console = Terminal(highlight=False, soft_wrap=True)
    console.print(f"{checked.name}: {checked.source} ({checked.identity})", style="bold")
    for number, example in enumerate(checked.examples, start=1):
        console.print(f"\nexample {number}", style="bold")
        console.print(encoder.render(example.prompt))
        console.print(f"-> {example.completion!r}, compared as {example.target!r}")
    console.print()
    for split, facts in checked.splits.items():
        labels = ", ".join(f"{k} {n / facts.rows:.1%}" for k, n in facts.labels.items())
        console.print(
            f"{split}: {facts.rows} rows; tokens of prompt and answer: shortest "
            f"{facts.tokens_min}, median {facts.tokens_median:g}, longest {facts.tokens_max}"
            + (f"; {labels}" if labels else "")
        )
    console.print()
    for finding in checked.findings:
        weight = "invalidates scores" if finding.invalidates else "note"
        console.print(f"{weight} ({finding.kind}): {finding.message}")
    if not checked.findings:
        console.print("nothing found")
