"""How long a plan will take and how much memory it needs, before anything is loaded.

Times come from cells of the same store where there are any, else from the number of
tokens, the closed forms of `cost/closed_form.py` and how fast this machine multiplies.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

from peftbench import tasks
from peftbench.cost import closed_form
from peftbench.engine.plan import Plan, rebuild_method
from peftbench.errors import ModelError
from peftbench.models import Shapes
from peftbench.spec import Cell
from peftbench.store import Record
from peftbench.tasks._data import TaskData, load_task_data

#: Rows of a split whose length stands for that of all.
_SAMPLE = 64
#: Bytes of one token where the tokenizer cannot be asked.
_BYTES_PER_TOKEN = 4
#: Of the speed of a large multiplication, what training small batches reaches.
_EFFICIENCY = 0.35
#: What a step costs however small the model is.
_SECONDS_PER_STEP = 0.015


@dataclass(frozen=True)
class Forecast:
    """What one cell will need; None where it cannot be told."""

    seconds: float | None
    memory_bytes: int | None
    basis: Literal["measured", "estimated", "unknown"]
    """Of `seconds`: cells like this one in the store, or a closed form."""


@dataclass(frozen=True)
class _Workload:
    """A task's examples, in tokens of one model."""

    train_examples: int
    evaluated_tokens: float  # of the test split, and of one validation
    validation_tokens: float
    mean_tokens: float


def forecast(plan: Plan, finished: Iterable[Record]) -> dict[str, Forecast]:
    """What every cell of a plan will need, by its id."""
    known = list(finished)
    workloads: dict[tuple[str, str], _Workload | None] = {}
    found = {}
    for planned in plan.cells:
        cell = planned.cell
        key = cell.model.identity, cell.task.name
        if key not in workloads:
            workloads[key] = _workload(plan, cell)
        found[cell.id] = _forecast(plan, cell, workloads[key], known)
    return found


def _forecast(
    plan: Plan, cell: Cell, workload: _Workload | None, known: Sequence[Record]
) -> Forecast:
    shapes = _shapes(plan, cell)
    memory = None
    if shapes:
        length = cell.max_length
        if workload:
            length = min(length, int(2 * workload.mean_tokens) + 1)
        examples = cell.training.batch_size if cell.training else 1
        if cell.training and cell.training.micro_batch_size:
            examples = cell.training.micro_batch_size
        memory = closed_form.peak_memory_bytes(
            shapes,
            rebuild_method(cell),
            tokens=examples * length,
            weight_bytes=2 if "16" in cell.model.dtype else 4,
        )
    alike = [sum(r.seconds.values()) for r in known if _is_alike(r.cell, cell)]
    if alike:
        return Forecast(statistics.median(alike), memory, "measured")
    if not shapes or not workload:
        return Forecast(None, memory, "unknown")
    return Forecast(_seconds(cell, shapes, workload), memory, "estimated")


def _seconds(cell: Cell, shapes: Shapes, workload: _Workload) -> float:
    virtual = int(cell.method.parameters.get("num_virtual_tokens", 0))
    longer = (workload.mean_tokens + virtual) / workload.mean_tokens
    forward = closed_form.forward_flops_per_token(shapes) * longer
    flops = forward * workload.evaluated_tokens
    steps = 0
    if cell.training:
        training = cell.training
        steps = training.steps or math.ceil(
            training.epochs * workload.train_examples / training.batch_size
        )
        per_token = (
            closed_form.training_flops_per_token(shapes, rebuild_method(cell)) * longer
        )
        flops += per_token * steps * training.batch_size * workload.mean_tokens
        flops += forward * training.validations * workload.validation_tokens
    return steps * _SECONDS_PER_STEP + flops / (_EFFICIENCY * _flops_per_second())


def _is_alike(one: Cell, other: Cell) -> bool:
    """Equal in all but the seed."""
    return one.model_copy(update={"seed": None}) == other.model_copy(update={"seed": None})


def _shapes(plan: Plan, cell: Cell) -> Shapes | None:
    try:
        return Shapes.from_config(plan.models[cell.model.identity].config)
    except ModelError:
        return None


def _workload(plan: Plan, cell: Cell) -> _Workload | None:
    """Count the tokens of a sample; None where the rows are on the hub."""
    task = tasks.get(cell.task.name, cell.protocol)
    if not task.is_generated and plan.data_dir is None:
        return None
    data = load_task_data(
        cell.task.name,
        data_dir=plan.data_dir,
        limits=cell.limits.model_dump(),
        protocol=cell.protocol,
    )
    count = _token_counter(Path(plan.models[cell.model.identity].location))
    train, validation, test = (
        _mean_tokens(data, split, count) for split in ("train", "validation", "test")
    )
    return _Workload(
        train_examples=len(data.examples["train"]),
        evaluated_tokens=test * len(data.examples["test"]),
        validation_tokens=validation * len(data.examples["validation"]),
        mean_tokens=min(train, cell.max_length),
    )


def _mean_tokens(data: TaskData, split: tasks.Split, count: _Counter) -> float:
    rows = data.examples[split][:_SAMPLE]
    return statistics.fmean(count(f"{row.prompt} {row.completion}") for row in rows)


class _Counter:
    """Tokens of a text, by the model's own tokenizer where it is a fast one on disk."""

    def __init__(self, folder: Path) -> None:
        from tokenizers import Tokenizer

        file = folder / "tokenizer.json"
        self._tokenizer = Tokenizer.from_file(str(file)) if file.is_file() else None

    def __call__(self, text: str) -> int:
        if self._tokenizer is None:
            return 1 + len(text.encode("utf-8", "replace")) // _BYTES_PER_TOKEN
        return max(1, len(self._tokenizer.encode(text).ids))


@lru_cache
def _token_counter(folder: Path) -> _Counter:
    return _Counter(folder)


@lru_cache
def _flops_per_second() -> float:
    """How fast one matrix product runs on one core; about a tenth of a second of work."""
    import numpy as np
    from threadpoolctl import threadpool_limits

    size = 384
    matrix = np.ones((size, size), dtype=np.float32)
    best = math.inf
    with threadpool_limits(1):
        for _ in range(30):
            start = time.perf_counter()
            matrix @ matrix
            best = min(best, time.perf_counter() - start)
    return float(2 * size**3 / best)
