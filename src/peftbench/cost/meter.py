"""A short, exclusive probe of one method on one model: parameters, FLOPs, memory, time.

Nothing else may run meanwhile. Inputs are fixed, so methods differ by nothing but
themselves. What can be counted is counted by `count.py`; this adds what a clock and the
GPU's energy counter say.
"""

from __future__ import annotations

import copy
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from peftbench.cost.count import Counted, Inputs, count
from peftbench.cost.energy import EnergyCounter
from peftbench.cost.step import TrainingStep, context, tokens, training_batch
from peftbench.cost.timing import Generation, Timing, generation, timed
from peftbench.methods import Method
from peftbench.models._load import BaseModel
from peftbench.training.checkpointing import gradient_checkpointing
from peftbench.training.seeds import seed_everything

#: Tokens that are generated after the first.
NEW_TOKENS = 16


@dataclass(frozen=True)
class Measured:
    """What the meter read; None where there is nothing to read."""

    counted: Counted
    step: Timing | None  # None where nothing is trained
    unmerged: Generation
    merged: Generation | None  # None where the method cannot be merged
    load: Timing
    merge: Timing | None
    step_joules: float | None  # None where the machine has no counter
    token_joules: float | None


def measure(base: BaseModel, method: Method, *, inputs: Inputs, repeats: int) -> Measured:
    """Probe `method` on `base`, which is left as it was."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "adapter"
        counted = count(method, base.model, base.shapes.vocab_size, inputs, folder)
        energy = EnergyCounter.of(base.device)
        step, step_joules = _training(base, method, inputs, repeats, energy)
        ids = tokens(base.shapes.vocab_size, *inputs.inference, base.device)
        loads, loaded = _loads(base, method, folder, repeats)
        try:
            unmerged = generation(loaded, ids, NEW_TOKENS, repeats)
            token_joules = _token_joules(loaded, ids, energy)
        finally:
            base.model = method.detach(loaded)
        merge, merged = _merged(base, method, folder, ids, repeats)
    return Measured(
        counted=counted,
        step=step,
        unmerged=unmerged,
        merged=merged,
        load=loads,
        merge=merge,
        step_joules=step_joules,
        token_joules=token_joules,
    )


def _training(
    base: BaseModel,
    method: Method,
    inputs: Inputs,
    repeats: int,
    energy: EnergyCounter | None,
) -> tuple[Timing | None, float | None]:
    """Time and energy of a training step."""
    if not method.trains:
        return None, None
    batch = training_batch(base.shapes.vocab_size, *inputs.training, base.device)
    now = context(batch)
    seed_everything(0)
    adapted = method.attach_for(base.model, now)
    try:
        step = TrainingStep.of(method, adapted, batch, now)
        with gradient_checkpointing(adapted, enabled=inputs.gradient_checkpointing):
            return timed(step, repeats), energy.joules(step) if energy else None
    finally:
        base.model = method.detach(adapted)


def _loads(
    base: BaseModel, method: Method, folder: Path, repeats: int
) -> tuple[Timing, nn.Module]:
    """How long it takes to put a saved adapter on the base, and one that is on it."""
    seconds = []
    loaded = method.load(base.model, folder)  # warm-up
    for _ in range(max(2, repeats)):
        base.model = method.detach(loaded)
        start = time.perf_counter()
        loaded = method.load(base.model, folder)
        if base.device.type == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    return Timing.of(seconds), loaded


def _merged(
    base: BaseModel, method: Method, folder: Path, ids: torch.Tensor, repeats: int
) -> tuple[Timing | None, Generation | None]:
    """Time of merging, and of generating with what comes out. Merging uses a base up,
    so each time a copy of it is merged."""
    if not method.mergeable:
        return None, None
    seconds = []
    merged: nn.Module | None = None
    for _ in range(max(2, repeats)):
        merged = None  # free it first: two copies may not fit
        loaded = method.load(copy.deepcopy(base.model), folder)
        start = time.perf_counter()
        merged = method.merge(loaded)
        if base.device.type == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    assert merged is not None
    return Timing.of(seconds), generation(merged, ids, NEW_TOKENS, repeats)


def _token_joules(
    loaded: nn.Module, ids: torch.Tensor, energy: EnergyCounter | None
) -> float | None:
    """Energy of one generated token, the reading of the prompt included in its share."""
    if energy is None:
        return None
    write: Callable[[], object] = lambda: loaded.generate(  # type: ignore[operator]  # noqa: E731
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=NEW_TOKENS,
        min_new_tokens=NEW_TOKENS,
        do_sample=False,
        pad_token_id=0,
    )
    return energy.joules(write) / (NEW_TOKENS * ids.shape[0])
