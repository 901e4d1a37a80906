"""Times: median and spread over repeats, after warm-up, with the device waited for."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import nn

from peftbench.cost.costs import Seconds

Done = TypeVar("Done")

#: Runs that are thrown away: the first ones allocate, load and choose kernels.
_WARM_UP = 2


def over(seconds: Sequence[float]) -> Seconds:
    """Median and spread of at least two measurements."""
    low, _, high = statistics.quantiles(seconds, n=4)
    return Seconds(median=statistics.median(seconds), spread=high - low)


def timed(work: Callable[[], object], repeats: int, *, warm_up: int = _WARM_UP) -> Seconds:
    """How long `work` takes, `repeats` times (at least two)."""
    for _ in range(warm_up):
        work()
    return over([once(work)[0] for _ in range(repeats)])


@dataclass(frozen=True)
class Generation:
    """Greedy decoding of one input, by the way that users take: `generate`."""

    prefill: Seconds  # up to and with the first token
    per_token: Seconds  # of those that follow


def generation(
    model: nn.Module, inputs: torch.Tensor, new_tokens: int, repeats: int
) -> Generation:
    """Time `generate` for one token and for 1 + `new_tokens`; the difference is theirs.

    inputs: (batch, length). Stop tokens do not stop: the number of tokens is fixed.
    """
    model.eval()
    first, many = (writing(model, inputs, count) for count in (1, 1 + new_tokens))
    first(), many()  # warm-up
    firsts, rests = [], []
    for _ in range(repeats):  # in turns: a machine that slows down slows both
        firsts.append(once(first)[0])
        rests.append((once(many)[0] - firsts[-1]) / new_tokens)
    return Generation(over(firsts), over([max(0.0, rest) for rest in rests]))


def writing(model: nn.Module, inputs: torch.Tensor, count: int) -> Callable[[], object]:
    """What makes `model` write so many tokens, greedily."""
    return lambda: model.generate(  # type: ignore[operator]
        input_ids=inputs,
        attention_mask=torch.ones_like(inputs),
        max_new_tokens=count,
        min_new_tokens=count,
        do_sample=False,
        num_beams=1,
        pad_token_id=0,
    )


def once(work: Callable[[], Done]) -> tuple[float, Done]:
    """Seconds that `work` takes, and what it returns."""
    _synchronise()
    start = time.perf_counter()
    done = work()
    _synchronise()
    return time.perf_counter() - start, done


def _synchronise() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
