"""From a YAML file, a suite's name or a mapping to a validated `Benchmark`."""

from __future__ import annotations

import typing
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from peftbench.errors import InvalidSpec, UnknownName
from peftbench.reading import Unreadable, file_text, yaml_value
from peftbench.spec.benchmark import Benchmark
from peftbench.spec.suites import suite_names, suite_text

M = TypeVar("M", bound=BaseModel)


def read_benchmark(spec: str | Path, overrides: Sequence[str] = ()) -> Benchmark:
    """Read a YAML file or a shipped suite, with `training.epochs=3`-like overrides.

    Raises `InvalidSpec` with the path of every field that is wrong.
    """
    text, origin = _text(spec)
    raw = yaml_mapping(text, origin, Benchmark)
    if not isinstance(spec, str) or spec not in suite_names():
        raw.setdefault("name", Path(spec).stem)
        if "tasks" in raw:
            raw["tasks"] = _beside(Path(spec), raw["tasks"])
    for assignment in overrides:
        override(raw, assignment)
    return from_mapping(raw, origin)


def from_mapping(raw: Mapping[str, Any], origin: str = "the spec") -> Benchmark:
    """Validate a mapping; raises `InvalidSpec` with the path of every wrong field."""
    return validated(Benchmark, raw, origin)


def validated(model: type[M], raw: Mapping[str, Any], origin: str) -> M:
    """A part of a spec from a mapping; raises `InvalidSpec` for every wrong field."""
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        # A list of which every item is wrong is also called too short; it is not.
        details = [d for d in error.errors() if d["type"] != "too_short" or not d["input"]]
        lines = [f"  {_explain(model, detail)}" for detail in details]
        raise InvalidSpec(
            f"{origin} has {len(lines)} wrong field{'s'[: len(lines) > 1]}:\n"
            + "\n".join(lines)
        ) from error


def yaml_mapping(text: str, origin: str, model: type[BaseModel]) -> dict[str, Any]:
    """The mapping that a YAML file holds; raises `InvalidSpec` where it holds none."""
    try:
        raw = yaml_value(text)
    except Unreadable as error:
        raise InvalidSpec(f"{origin} {error}") from error
    if not isinstance(raw, dict):
        raise InvalidSpec(
            f"{origin} must hold a mapping with the fields {', '.join(model.model_fields)}; "
            f"found {type(raw).__name__}. See `peftbench schema` or the examples folder."
        )
    return raw


def is_task_file(name: object) -> bool:
    """Whether an entry of `tasks` is the path of a task's own YAML file, not a name."""
    return isinstance(name, str) and Path(name).suffix in (".yaml", ".yml")


def _beside(spec: Path, tasks: Any) -> Any:
    """Paths of task files in a spec are relative to it, wherever the command is run."""
    if isinstance(tasks, list):
        return [_beside(spec, name) for name in tasks]
    return str(spec.resolve().parent / tasks) if is_task_file(tasks) else tasks


def _text(spec: str | Path) -> tuple[str, str]:
    if isinstance(spec, str) and spec in suite_names():
        return suite_text(spec), f"suite {spec!r}"
    path = Path(spec)
    if not path.is_file():
        if path.suffix in (".yaml", ".yml") or len(path.parts) > 1:
            raise InvalidSpec(f"No spec file {str(path)!r}: is the path right?")
        raise UnknownName("suite", str(spec), suite_names())
    return spec_text(path), str(path)


def spec_text(path: Path) -> str:
    """The text of a file that somebody wrote by hand; raises `InvalidSpec`."""
    try:
        return file_text(path)
    except Unreadable as error:
        raise InvalidSpec(f"{path} {error}.") from error


def override(raw: dict[str, Any], assignment: str) -> None:
    """Set one field of a raw spec from `training.epochs=3`."""
    path, equals, text = assignment.partition("=")
    if not equals or not path:
        raise InvalidSpec(f"--set needs FIELD=VALUE, got {assignment!r}.")
    *parents, last = path.split(".")
    for depth, parent in enumerate(parents):
        if raw.get(parent) is None:  # not there, or a section left empty
            raw[parent] = {}
        raw = raw[parent]
        if not isinstance(raw, dict):
            raise InvalidSpec(
                f"--set {assignment}: {'.'.join(parents[: depth + 1])} has no fields to set."
            )
    try:
        raw[last] = yaml_value(text)
    except Unreadable as error:
        raise InvalidSpec(f"--set {assignment}: the value {error}") from error


def _explain(whole: type[BaseModel], detail: Any) -> str:
    """One line for one error of pydantic: path, what is wrong, what to do."""
    location: tuple[str | int, ...] = detail["loc"]
    path = "".join(
        f"[{part}]" if isinstance(part, int) else f".{part}" for part in location
    )
    path = path.lstrip(".") or "spec"
    if detail["type"] == "extra_forbidden":
        known = _fields_at(whole, location[:-1])
        close = get_close_matches(str(location[-1]), known, n=1, cutoff=0.5)
        hint = f"did you mean {close[0]!r}? " if close else ""
        return f"{path}: unknown field; {hint}known: {', '.join(known)}"
    if detail["type"] == "missing":
        return f"{path}: missing; the field is required"
    message = detail["msg"].removeprefix("Value error, ")
    message = message[0].lower() + message[1:]
    found = "" if isinstance(detail["input"], dict | list) else f"; got {detail['input']!r}"
    return f"{path}: {message}{found}"


def _fields_at(model: type[BaseModel], location: Iterable[str | int]) -> list[str]:
    """The fields of the part of a spec that a path leads to."""
    for part in location:
        if isinstance(part, str) and part in model.model_fields:
            model = _model_in(model.model_fields[part].annotation) or model
    return list(model.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    inner = (_model_in(argument) for argument in typing.get_args(annotation))
    return next((model for model in inner if model is not None), None)
