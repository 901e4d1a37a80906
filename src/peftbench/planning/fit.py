"""Whether a cell fits into a machine's memory, and the cheapest change that makes it fit."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from peftbench.methods._build import rebuild
from peftbench.models._device import gpu_memory_bytes
from peftbench.spec import Cell

#: Of what is predicted, what a device needs beside: kernels, allocator, the interpreter.
HEADROOM = 1.1

#: Bytes that a cell will need at its peak; None where it cannot be told.
MemoryOf = Callable[[Cell], int | None]


@dataclass(frozen=True)
class Misfit:
    """A cell that will not fit, and what to do."""

    needed_bytes: int
    limit_bytes: int
    change: tuple[str, ...]  # as `--set` takes them; empty: nothing here is enough
    becomes_bytes: int | None  # with that change


def machine_memory_bytes() -> int | None:
    """Memory of the smallest GPU, else of this machine or what its container may use."""
    if (of_gpu := gpu_memory_bytes()) is not None:
        return of_gpu
    limits = []
    with suppress(ValueError, OSError, AttributeError):
        limits.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    for file in (
        "/sys/fs/cgroup/memory.max",
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
    ):
        with suppress(OSError, ValueError):
            limits.append(int(Path(file).read_text()))  # "max" is no number
    return min(limits, default=None)


def misfit(cell: Cell, memory_of: MemoryOf, limit_bytes: int) -> Misfit | None:
    """None where `cell` fits, or nothing can be told of it."""
    needed = memory_of(cell)
    if needed is None or needed * HEADROOM <= limit_bytes:
        return None
    for change, changed in _changes(cell):
        becomes = memory_of(changed)
        if becomes is not None and becomes * HEADROOM <= limit_bytes:
            return Misfit(needed, limit_bytes, change, becomes)
    return Misfit(needed, limit_bytes, (), None)


def _changes(cell: Cell) -> Iterator[tuple[tuple[str, ...], Cell]]:
    """Changes to a cell, the cheapest first: smaller micro-batches take no more
    arithmetic, recomputed blocks a forward pass more, 16-bit weights are other weights, and
    4-bit weights of another method are others still."""
    yield from _with_same_weights(cell, ())
    said: tuple[str, ...] = ()
    if "16" not in cell.model.dtype:
        said = ("the model's dtype: bfloat16",)
        model = cell.model.model_copy(update={"dtype": "bfloat16"})
        cell = cell.model_copy(update={"model": model})
        yield said, cell
        yield from _with_same_weights(cell, said)
    if cell.method.name == "lora":  # QLoRA has the same settings, on weights in 4 bits
        said = (*said, "qlora in place of lora")
        method = cell.method.model_copy(update={"name": "qlora"})
        cell = cell.model_copy(update={"method": method})
        yield said, cell
        yield from _with_same_weights(cell, said)


def _with_same_weights(
    cell: Cell, said: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], Cell]]:
    yield from _smaller(cell, said)
    if cell.training and rebuild(cell.method).recomputes:
        recomputed = _with(cell, gradient_checkpointing=True)
        said = (*said, "training.gradient_checkpointing=true")
        yield said, recomputed
        yield from _smaller(recomputed, said)


def _smaller(cell: Cell, said: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Cell]]:
    if cell.training is None:
        return
    size = cell.training.micro_batch_size or cell.training.batch_size
    while (size := size // 2) >= 1:
        change = f"training.micro_batch_size={size}"
        yield (*said, change), _with(cell, micro_batch_size=size)


def _with(cell: Cell, **settings: int | bool) -> Cell:
    assert cell.training is not None
    training = cell.training.model_copy(update=settings)
    return cell.model_copy(update={"training": training})
