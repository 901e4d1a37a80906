"""Summaries to render, made by hand: no model, no store."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from peftbench.scoring.intervals import mean_interval
from peftbench.scoring.summary import (
    Curve,
    Entry,
    MethodInfo,
    Standing,
    Summary,
    TaskInfo,
    Trouble,
)
from peftbench.spec import CellMethod
from peftbench.store.record import Baseline, Cost, Manifest, Memory, Probe, Validation

HOSTILE = '</script><script>alert(1)</script> & a_b | 5% $x$ {y} \\z ~^ "q" `t`'


def manifest() -> Manifest:
    return Manifest(
        started_at="2026-01-01T00:00:00+00:00", finished_at="2026-01-01T00:01:00+00:00",
        host="machine", platform="Linux", device="cpu", threads=1,
        packages={"torch": "2.13.0"}, git_commit="abc", git_dirty=False,
        initial_adapter_sha256=None, chat_template=False,
    )  # fmt: skip


def cost(method: str, trained: int) -> Cost:
    memory = Memory(
        total=200_000_000 + trained, weights=8_000_000, adapter=4 * trained,
        gradients=4 * trained, optimizer=8 * trained, activations=150_000_000,
    )  # fmt: skip
    return Cost(
        model="tiny", model_identity="sha256:0", dtype="auto", method=CellMethod(name=method, parameters={}),
        probe=Probe(), device="cpu (machine)", trainable_parameters=trained,
        base_parameters=1_916_960, stored_bytes=4 * trained + 500,
        forward_flops=2_000_000_000 + trained, extra_forward_flops=trained,
        training_step_flops=24_000_000_000, peak_memory=memory,
        step_seconds=0.25 if trained else None,
        step_seconds_spread=0.01 if trained else None, packages={},
    )  # fmt: skip


def make(
    scores: dict[str, dict[str, list[float | None]]],
    *,
    costs: bool = True,
    lower: tuple[str, ...] = (),
    description: str = "A benchmark",
) -> Summary:
    """A summary of `scores[method][task]`, one number per seed; None failed."""
    tasks = list(next(iter(scores.values())))
    seeds = tuple(
        range(1, 1 + max(len(v) for row in scores.values() for v in row.values()))
    )
    entries, troubles, curves, standings = [], [], [], []
    for method, row in scores.items():
        means, complete = [], True
        for task, values in row.items():
            by_seed = {
                str(s): v for s, v in zip(seeds, values, strict=False) if v is not None
            }
            best = max if task not in lower else min
            bests = best(
                sum(v or 0 for v in other[task]) / len(other[task])
                for other in scores.values()
            )
            entry = Entry(
                model="tiny", method=method, task=task, by_seed=by_seed,
                interval=mean_interval(list(by_seed.values())) if by_seed else None,
                complete=len(by_seed) == len(values),
                is_best=bool(by_seed) and sum(by_seed.values()) / len(by_seed) == bests,
                is_tied_with_best=bool(by_seed),
                other_scores={"format_error_rate": dict.fromkeys(by_seed, 0.25)},
            )  # fmt: skip
            entries.append(entry)
            complete &= entry.complete
            means.append(entry.interval.mean if entry.interval else 0.0)
            for seed, value in zip(seeds, values, strict=False):
                if value is None:
                    troubles.append(
                        Trouble(cell="f" * 64, model="tiny", method=method, task=task,
                                seed=str(seed), status="diverged",
                                reason="The loss became NaN; lower the learning rate.")
                    )  # fmt: skip
                else:
                    looks = (
                        Validation(step=5, epoch=0.5, train_loss=2.0, score=value / 2),
                        Validation(step=10, epoch=1.0, train_loss=1.0, score=value),
                    )
                    curves.append(
                        Curve(model="tiny", method=method, task=task, seed=str(seed),
                              validations=looks)
                    )  # fmt: skip
        place = list(scores).index(method)
        mean = 100 * sum(means) / len(means) if complete else None
        standings.append(
            Standing(
                model="tiny",
                method=method,
                average_rank=1.0 + place if complete else None,
                mean_score=mean,
                parameter_factor=0.99 if costs else None,
                flops_factor=0.98 if costs else None,
                memory_factor=0.97 if costs else None,
                pscp=0.94 * mean if costs and mean is not None else None,
                cost=cost(method, 1000 * place) if costs else None,
            )
        )
    cells = sum(len(v) for row in scores.values() for v in row.values())
    return Summary(
        name="made", description=description, protocol="strict", spec={"name": "made"},
        models=("tiny",),
        methods=tuple(
            MethodInfo(label=m, name="lora", parameters={"rank": 8}, family="adapter",
                       paper="Hu et al.", trains=True, learning_rate=1e-3)
            for m in scores
        ),
        tasks=tuple(
            TaskInfo(name=t, description="d", is_generated=t.startswith("generated"),
                     metric="accuracy", unit="fraction correct",
                     better="lower" if t in lower else "higher", test_examples=100,
                     baselines=(Baseline(name="majority class", answer="yes", value=0.31),))
            for t in tasks
        ),
        seeds=seeds, entries=tuple(entries), standings=tuple(standings),
        curves=tuple(curves), troubles=tuple(troubles), cells=cells,
        finished_cells=cells - len(troubles), manifests=(manifest(),),
        peftbench_version="0.1.0",
    )  # fmt: skip


@pytest.fixture
def maker() -> Callable[..., Summary]:
    """`make`, for tests that need a summary of their own."""
    return make


@pytest.fixture
def usual() -> Summary:
    """Nine methods, three tasks, two seeds, one failure."""
    names = ["base", "full", "lora", "ia3", "ln-tuning", "bitfit", "prompt-tuning",
             "p-tuning", "prefix-tuning"]  # fmt: skip
    tasks = ("generated_mood", "sst2", "stsb")
    scores: dict[str, Any] = {
        name: {
            task: [0.9 - 0.07 * i - 0.01 * j, 0.88 - 0.07 * i - 0.01 * j]
            for j, task in enumerate(tasks)
        }
        for i, name in enumerate(names)
    }
    scores["p-tuning"]["stsb"][1] = None
    return make(scores)


@pytest.fixture
def hostile() -> Summary:
    """Text from outside that would break every format if it were not escaped."""
    scores = {HOSTILE: {"sst2": [0.9]}, "lora": {"sst2": [0.8]}}
    return make(scores, description=HOSTILE)
