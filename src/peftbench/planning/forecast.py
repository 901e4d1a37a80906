"""How long a plan will take and how much memory it needs, before anything is loaded.

Times come from cells of the same store where there are any, else from the number of
tokens, the closed forms of `cost/closed_form.py` and how fast this machine multiplies.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Literal

from peftbench import tasks
from peftbench.cost import closed_form
from peftbench.methods._build import rebuild
from peftbench.models import Shapes
from peftbench.planning.fit import Misfit, misfit
from peftbench.planning.memory_forecast import Lengths, MemoryForecast, shapes_of
from peftbench.planning.plan import Plan
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
    misfit: Misfit | None = None
    """Where it needs more memory than there is."""


@dataclass(frozen=True)
class _Workload:
    """A task's examples, in tokens of one model."""

    train_examples: int
    evaluated_tokens: float  # of the test split, and of one validation
    validation_tokens: float
    mean_tokens: float
    longest_tokens: int  # of a training example, as its batches are sorted by length
    longest_answer_tokens: int


def forecast(
    plan: Plan,
    finished: Iterable[Record],
    *,
    memory_limit: int | None = None,
    exact: bool = False,
) -> dict[str, Forecast]:
    """What every cell of a plan will need, by its id, and what to change where it needs
    more than `memory_limit` bytes. `exact`: memory is read off a step without data, which
    imports torch and takes seconds for each method; else it is a closed form."""
    known = list(finished)
    workloads: dict[tuple[str, str], _Workload | None] = {}
    found = {}
    memory = MemoryForecast(plan, exact=exact)
    for planned in plan.cells:
        cell = planned.cell
        key = cell.model.identity, cell.task.name
        if key not in workloads:
            workloads[key] = _workload(plan, cell)
        workload = workloads[key]
        memory_of = partial(memory.bytes_of, lengths=_lengths(cell, workload))
        found[cell.id] = replace(
            _time_of(plan, cell, workload, known),
            memory_bytes=memory_of(cell),
            misfit=misfit(cell, memory_of, memory_limit) if memory_limit else None,
        )
    return found


def _time_of(
    plan: Plan, cell: Cell, workload: _Workload | None, known: Sequence[Record]
) -> Forecast:
    alike = [sum(r.seconds.values()) for r in known if _is_alike(r.cell, cell)]
    if alike:
        return Forecast(statistics.median(alike), None, "measured")
    shapes = shapes_of(plan, cell)
    if not shapes or not workload:
        return Forecast(None, None, "unknown")
    return Forecast(_seconds(cell, shapes, workload), None, "estimated")


def _lengths(cell: Cell, workload: _Workload | None) -> Lengths:
    """Tokens of a long example, and of its answer; None: as many as there are."""
    if workload is None:
        return cell.max_length, None
    length = min(cell.max_length, workload.longest_tokens)
    return length, min(length, workload.longest_answer_tokens)


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
        per_token = longer * closed_form.training_flops_per_token(
            shapes,
            rebuild(cell.method),
            gradient_checkpointing=training.gradient_checkpointing,
        )
        flops += per_token * steps * training.batch_size * workload.mean_tokens
        flops += forward * training.validations * workload.validation_tokens
    return steps * _SECONDS_PER_STEP + flops / (_EFFICIENCY * _flops_per_second())


def _is_alike(one: Cell, other: Cell) -> bool:
    """Equal in all but the seed."""
    return one.model_copy(update={"seed": None}) == other.model_copy(update={"seed": None})


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
        longest_tokens=_longest(
            [f"{row.prompt} {row.completion}" for row in data.examples["train"]], count
        ),
        longest_answer_tokens=_longest(
            [row.completion for row in data.examples["train"]], count
        ),
    )


def _longest(texts: Sequence[str], count: _Counter) -> int:
    """Tokens of the longest text, with the end token."""
    return 1 + count(max(texts, key=len))


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
