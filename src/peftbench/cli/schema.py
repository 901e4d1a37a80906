"""`peftbench schema`: the JSON Schema of a spec, for editors."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from peftbench.cli._app import app
from peftbench.cli._say import say
from peftbench.spec import Benchmark
from peftbench.spec.task_file import TaskFile


@app.command()
def schema(
    task: Annotated[bool, typer.Option("--task", help="Of a task's own file.")] = False,
) -> None:
    """Print the JSON Schema of a spec, or of a task's file, so that editors check it."""
    found = (TaskFile if task else Benchmark).model_json_schema()
    found["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    say(json.dumps(found, indent=2))
