"""Times: median and spread over repeats, after warm-up, with the device waited for."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import nn

#: Runs that are thrown away: the first ones allocate, load and choose kernels.
_WARM_UP = 2


@dataclass(frozen=True)
class Timing:
    """Seconds over the repeats."""

    median: float
    spread: float  # interquartile range

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Timing:
        """Of at least two measurements."""
        low, _, high = statistics.quantiles(seconds, n=4)
        return cls(statistics.median(seconds), high - low)


def timed(work: Callable[[], object], repeats: int, *, warm_up: int = _WARM_UP) -> Timing:
    """How long `work` takes, `repeats` times (at least two)."""
    for _ in range(warm_up):
        work()
    return Timing.of([_once(work) for _ in range(max(2, repeats))])


@dataclass(frozen=True)
class Generation:
    """Greedy decoding of one input, by the way that users take: `generate`."""

    prefill: Timing  # up to and with the first token
    per_token: Timing  # of those that follow


def generation(
    model: nn.Module, inputs: torch.Tensor, new_tokens: int, repeats: int
) -> Generation:
    """Time `generate` for one token and for 1 + `new_tokens`; the difference is theirs.

    inputs: (batch, length). Stop tokens do not stop: the number of tokens is fixed.
    """
    model.eval()

    def write(count: int) -> Callable[[], object]:
        return lambda: model.generate(  # type: ignore[operator]
            input_ids=inputs,
            attention_mask=torch.ones_like(inputs),
            max_new_tokens=count,
            min_new_tokens=count,
            do_sample=False,
            num_beams=1,
            pad_token_id=0,
        )

    first, many = write(1), write(1 + new_tokens)
    first(), many()  # warm-up
    firsts, rests = [], []
    for _ in range(max(2, repeats)):  # in turns: a machine that slows down slows both
        firsts.append(_once(first))
        rests.append((_once(many) - firsts[-1]) / new_tokens)
    return Generation(Timing.of(firsts), Timing.of([max(0.0, rest) for rest in rests]))


def _once(work: Callable[[], object]) -> float:
    _synchronise()
    start = time.perf_counter()
    work()
    _synchronise()
    return time.perf_counter() - start


def _synchronise() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
