"""Options that several commands share, and the spec they describe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from peftbench.errors import InvalidSpec
from peftbench.spec import Benchmark, from_mapping, read_benchmark
from peftbench.spec import Protocol as SpecProtocol

Spec = Annotated[
    str | None, typer.Argument(metavar="[SPEC]", help="A YAML file, or a suite's name.")
]
Models = Annotated[
    str | None, typer.Option("--model", help="Instead of SPEC: model names.")
]
Methods = Annotated[str | None, typer.Option(help="Instead of SPEC: method names.")]
Tasks = Annotated[str | None, typer.Option(help="Instead of SPEC: task names.")]
Seeds = Annotated[str, typer.Option(help="Instead of SPEC: seeds, as 1,2,3.")]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", help="Override a field: training.epochs=3.")
]
DataDir = Annotated[
    Path | None,
    typer.Option(help="Folder of task rows; default PEFTBENCH_DATA_DIR or hub."),
]
ExistingStore = Annotated[Path, typer.Option("--store", help="Folder of the results.")]
BenchmarkName = Annotated[
    str | None,
    typer.Option("--benchmark", help="Of several in a store; default the newest."),
]
StoreOption = Annotated[Path | None, typer.Option("--store", help="Folder of the results.")]
Protocol = Annotated[
    SpecProtocol, typer.Option(help="Rules of prompts, labels and metrics.")
]


def _plug_in(files: list[Path] | None) -> list[Path] | None:
    """Make plug-in files known to this process and to its workers."""
    if files:
        from peftbench.catalogue import plug_in

        plug_in(files)
    return files


Plugins = Annotated[
    list[Path] | None,
    typer.Option(
        "--plugin",
        metavar="FILE",
        callback=_plug_in,
        is_eager=True,
        help="A Python file with a method, task or metric of yours; may be given again.",
    ),
]
UnsafeRunCode = Annotated[
    bool,
    typer.Option(
        "--unsafe-run-code",
        help="Run programs that a model wrote even where there is no sandbox.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="For programs.")]


def benchmark(
    spec: str | None,
    models: str | None,
    methods: str | None,
    tasks: str | None,
    seeds: str,
    overrides: list[str] | None,
) -> tuple[Benchmark, str]:
    """The benchmark that the arguments describe, and where it came from."""
    listed = (models, methods, tasks)
    if spec is not None:
        if any(listed):
            raise InvalidSpec(
                "Give either SPEC or --model, --methods and --tasks, not both."
            )
        path = Path(spec)
        origin = str(path.resolve()) if path.is_file() else f"suite {spec}"
        return read_benchmark(spec, overrides or ()), origin
    if not all(listed):
        raise InvalidSpec(
            "Give a SPEC (try `quickstart`), or --model, --methods and --tasks."
        )
    raw = {
        "name": "command-line",
        "models": _names(models),
        "methods": _names(methods),
        "tasks": _names(tasks),
        "seeds": _names(seeds),
    }
    from peftbench.spec.read import override

    for assignment in overrides or ():
        override(raw, assignment)
    return from_mapping(raw, "the command line"), "the command line"


def _names(text: str | None) -> list[str]:
    return [part.strip() for part in (text or "").split(",") if part.strip()]
