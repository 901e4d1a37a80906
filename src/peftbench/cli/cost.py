"""`peftbench cost`: what methods cost on a model, measured alone or predicted."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast, get_args

import typer

from peftbench.cli import _options as options
from peftbench.cli._app import app
from peftbench.cli._say import say
from peftbench.errors import InvalidSpec
from peftbench.models._device import Device, resolved_dtype, resolved_precision, this_device
from peftbench.spec.benchmark import AskedPrecision

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from peftbench.cost.compare import NoCost
    from peftbench.cost.costs import Cost
    from peftbench.spec import Benchmark, Probe


@app.command()
def cost(
    spec: options.Spec = None,
    model: Annotated[
        str | None, typer.Option(help="Instead of SPEC: a model's name, folder or hub id.")
    ] = None,
    methods: Annotated[
        str | None,
        typer.Option(
            help="Instead of SPEC: names, `all`, or as in a spec: "
            "'lora, {name: lora, label: r64, parameters: {rank: 64}}'."
        ),
    ] = None,
    predict: Annotated[
        bool, typer.Option("--predict", help="From the config, without weights.")
    ] = False,
    device: Annotated[
        str | None, typer.Option(help="Predict for cpu or cuda; default this machine's.")
    ] = None,
    inference: Annotated[
        str | None, typer.Option(help="Inputs of inference, BATCHxLENGTH.")
    ] = None,
    training: Annotated[
        str | None, typer.Option(help="Inputs of a training step, BATCHxLENGTH.")
    ] = None,
    repeats: Annotated[int, typer.Option(min=2, help="Of every time.")] = 5,
    dtype: Annotated[str, typer.Option(help="Of the weights, as in a spec.")] = "auto",
    precision: Annotated[
        str | None, typer.Option(help="Of a training step, as in a spec.")
    ] = None,
    store: Annotated[
        Path | None, typer.Option("--store", help="Keep the costs in this store.")
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Measure methods on fixed inputs, one at a time; or predict without weights."""
    benchmark = _asked(spec, model, methods, dtype)
    if device not in (None, "cpu", "cuda"):
        raise InvalidSpec(f"--device is cpu or cuda, got {device!r}.")
    if precision not in (None, *get_args(AskedPrecision)):
        allowed = ", ".join(get_args(AskedPrecision))
        raise InvalidSpec(f"--precision is one of {allowed}; got {precision!r}.")
    if device is not None and not predict:
        raise InvalidSpec("--device goes with --predict; measured is what is here.")
    asked: Any = precision or benchmark.training.precision
    where = cast("Device | None", device) or this_device()
    found = [
        outcome
        for choice in benchmark.models
        for outcome in _outcomes(
            benchmark,
            choice,
            predict,
            where,
            _probe_of(choice, inference, training, asked, repeats, where),
        )
    ]
    if store is not None:
        _keep(found, store)
    if as_json:
        say(json.dumps([_plain(label, outcome) for label, outcome in found], indent=2))
    else:
        _print(found)
    if all(not hasattr(outcome, "basis") for _, outcome in found):
        raise typer.Exit(1)


def _asked(
    spec: str | None, model: str | None, methods: str | None, dtype: str
) -> Benchmark:
    """The models and methods that the arguments name, checked as those of a spec."""
    from peftbench.spec import from_mapping, read_benchmark

    if spec is not None:
        if model or methods:
            raise InvalidSpec("Give either SPEC or --model and --methods, not both.")
        return read_benchmark(spec)
    if not model or not methods:
        raise InvalidSpec(
            "Give a SPEC, or --model and --methods, such as --model tiny --methods base,lora."
        )
    raw = {
        "name": "command-line",
        "models": [{"name": model, "dtype": dtype}],
        "methods": _method_entries(methods),
        "tasks": ["generated_mood"],  # a spec names a task; costs depend on none
    }
    return from_mapping(raw, "the command line")


def _method_entries(text: str) -> list[Any]:
    """Names and settings as in a YAML list; `all` stands for every method there is."""
    from peftbench import methods
    from peftbench.reading import Unreadable, yaml_value

    try:
        entries = yaml_value(f"[{text}]")
    except Unreadable as error:
        raise InvalidSpec(f"--methods is not a list as in YAML: it {error}") from error
    if not isinstance(entries, list):
        raise InvalidSpec(f"--methods is not a list as in YAML: {text!r}.")
    return list(methods.names()) if entries == ["all"] else list(entries)


def _probe_of(
    choice: Any,
    inference: str | None,
    training: str | None,
    precision: Any,
    repeats: int,
    device: Device,
) -> Probe:
    from peftbench.cost.compare import default_probe
    from peftbench.models import describe

    changed: dict[str, int] = {}
    for what, text in (("inference", inference), ("training", training)):
        if text is not None:
            batch, length = _size(what, text)
            changed |= {f"{what}_batch": batch, f"{what}_length": length}
    config = describe(choice).config
    dtype = resolved_dtype(choice.dtype, config, device)
    probe = default_probe(config, repeats, resolved_precision(precision, dtype, device))
    return probe.model_copy(update=changed)


def _size(option: str, text: str) -> tuple[int, int]:
    found = re.fullmatch(r"([1-9]\d*)[x×]([1-9]\d*)", text)
    if found is None or int(found[2]) < 2:
        raise InvalidSpec(
            f"--{option} is BATCHxLENGTH, such as 4x512 (a length of at least 2), got {text!r}."
        )
    return int(found[1]), int(found[2])


def _outcomes(
    benchmark: Benchmark, choice: Any, predict: bool, device: Device, probe: Any
) -> Iterator[tuple[str, Cost | NoCost]]:
    from peftbench.cost import compare

    def tell(label: str) -> None:
        say(f"{'predicting' if predict else 'measuring'} {label}", is_aside=True)

    outcomes: Iterable[Cost | NoCost]
    if predict:
        outcomes = compare.predict_all(choice, benchmark.methods, device, probe, tell)
    else:
        outcomes = compare.measure_all(choice, benchmark.methods, probe, tell)
    labels = [method.label for method in benchmark.methods]
    return zip(labels, outcomes, strict=True)


def _keep(found: list[tuple[str, Cost | NoCost]], folder: Path) -> None:
    from peftbench.cost.costs import Cost
    from peftbench.store import Store

    opened = Store.open(folder)
    try:
        for _, outcome in found:
            if isinstance(outcome, Cost):
                opened.results.commit(None, outcome.step, outcome)
    finally:
        opened.close()


def _plain(label: str, outcome: Cost | NoCost) -> dict[str, Any]:
    from peftbench.cost.costs import Cost

    if isinstance(outcome, Cost):
        return {"label": label, **outcome.model_dump(mode="json")}
    return {"label": label, "error": outcome.reason}


def _print(found: list[tuple[str, Cost | NoCost]]) -> None:
    from peftbench.cli._print import Terminal, print_table
    from peftbench.cost.costs import Cost
    from peftbench.report.meter import meter_tables

    console = Terminal(highlight=False)
    by_model: dict[str, list[tuple[str, Cost]]] = {}
    for label, outcome in found:
        if isinstance(outcome, Cost):
            by_model.setdefault(outcome.model, []).append((label, outcome))
    for model, rows in by_model.items():
        for table in meter_tables(rows, "", f" on {model}"):
            print_table(table, console)
    for label, outcome in found:
        if not isinstance(outcome, Cost):
            console.print(f"{label} has no cost: {outcome.reason}")
