"""Summaries to render, made by hand: no model, no store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean

from peftbench.cost.costs import Cost, Memory
from peftbench.evaluation.scores import Baseline
from peftbench.manifest import Manifest
from peftbench.scoring.directions import mean_better, no_mean, no_pscp
from peftbench.scoring.intervals import mean_interval
from peftbench.scoring.penalties import pscp, pscp_factors
from peftbench.scoring.ranks import average_ranks, ranks
from peftbench.scoring.summary import (
    Curve,
    Entry,
    MethodInfo,
    OtherScore,
    Precision,
    Standing,
    Summary,
    TaskInfo,
    Trouble,
)
from peftbench.spec import CellMethod, Probe
from peftbench.training.validation import Validation

#: `scores[method][task]`: one number for each seed; None where the run failed.
Scores = Mapping[str, Mapping[str, Sequence[float | None]]]

REASON = "The loss became NaN; lower the learning rate."

#: Text from outside that would break every format if it were not escaped.
HOSTILE = '</script><script>alert(1)</script> <!-- & &amp; a_b | 5% $x$ {y} \\z #~^ "q" `t`'

TRAINABLE = {
    "base": 0, "full": 1_916_960, "lora": 141_312, "ia3": 3_648, "ln-tuning": 2_080,
    "bitfit": 9_216, "prompt-tuning": 3_200, "p-tuning": 60_960, "prefix-tuning": 535_552,
}  # fmt: skip


def build(
    scores: Scores,
    *,
    models: tuple[str, ...] = ("tiny",),
    costs: Mapping[str, int] | None = None,
    lower: tuple[str, ...] = (),
    name: str = "made",
    description: str = "A benchmark",
    reason: str = REASON,
) -> Summary:
    """A summary of these scores on every model.

    `costs` are trainable parameters by method (None: no costs at all); `lower` names
    the tasks whose metric is better when lower.
    """
    tasks = list(next(iter(scores.values())))
    count = max(len(values) for row in scores.values() for values in row.values())
    seeds = tuple(range(1, count + 1))
    runs = [
        (model, method, task, str(seed), value)
        for model in models
        for method, row in scores.items()
        for task, values in row.items()
        for seed, value in zip(seeds, values, strict=False)
    ]
    troubles = tuple(
        Trouble(
            cell="f" * 64, model=model, method=method, task=task, seed=seed,
            status="diverged", reason=reason,
        )
        for model, method, task, seed, value in runs
        if value is None
    )  # fmt: skip
    infos = tuple(_task(task, is_lower=task in lower) for task in tasks)
    entries = tuple(
        entry
        for model in models
        for task in tasks
        for entry in _entries(scores, model, task, is_lower=task in lower)
    )
    return Summary(
        name=name,
        description=description,
        protocol="strict",
        spec={"name": name, "description": description},
        models=models,
        methods=tuple(_method(label) for label in scores),
        tasks=infos,
        precisions=tuple(
            Precision(
                model=model, methods=tuple(scores), weights="float32", training="float32"
            )
            for model in models
        ),
        seeds=seeds,
        entries=entries,
        standings=tuple(
            standing
            for model in models
            for standing in _standings(scores, model, entries, costs, infos)
        ),
        mean_better=mean_better(infos),
        no_mean=no_mean(infos),
        no_pscp=no_pscp(infos),
        curves=tuple(
            _curve(model, method, task, seed, value)
            for model, method, task, seed, value in runs
            if value is not None
        ),
        troubles=troubles,
        cells=len(runs),
        finished_cells=len(runs) - len(troubles),
        manifests=(manifest(),),
        peftbench_version="0.1.0",
    )


def cost(method: str, trained: int) -> Cost:
    """What a small model would cost with so many trainable parameters."""
    return Cost(
        model="tiny",
        model_identity="sha256:0",
        dtype="float32",
        method=CellMethod(name="lora", parameters={"label": method}),
        probe=Probe(),
        device="cpu (machine)",
        trainable_parameters=trained,
        base_parameters=1_916_960,
        stored_bytes=4 * trained + 500,
        forward_flops=2_000_000_000 + 50 * trained,
        extra_forward_flops=50 * trained,
        training_step_flops=24_000_000_000,
        peak_memory=Memory(
            total=80_000_000 + 20 * trained,
            weights=8_000_000,
            adapter=4 * trained,
            gradients=4 * trained,
            optimizer=8 * trained,
            activations=70_000_000,
        ),
        step_seconds=0.25 if trained else None,
        step_seconds_spread=0.01 if trained else None,
        packages={},
    )


def manifest() -> Manifest:
    """Of a clean checkout."""
    return Manifest(
        started_at="2026-01-01T00:00:00+00:00",
        finished_at="2026-01-01T00:01:00+00:00",
        host="machine",
        platform="Linux",
        device="cpu",
        threads=1,
        packages={"torch": "2.13.0"},
        git_commit="abc",
        git_dirty=False,
        initial_adapter_sha256=None,
        chat_template=False,
    )


def _entries(scores: Scores, model: str, task: str, *, is_lower: bool) -> Iterator[Entry]:
    finished = {
        method: {str(s): v for s, v in enumerate(row[task], start=1) if v is not None}
        for method, row in scores.items()
    }
    complete = {m for m, found in finished.items() if len(found) == len(scores[m][task])}
    means = {m: fmean(finished[m].values()) for m in complete}
    best = (min if is_lower else max)(means.values()) if len(means) > 1 else None
    for method, found in finished.items():
        mean = means.get(method)
        yield Entry(
            model=model,
            method=method,
            task=task,
            by_seed=found,
            interval=mean_interval(list(found.values())) if found else None,
            complete=method in complete,
            is_best=best is not None and mean == best,
            is_tied_with_best=best is not None
            and mean is not None
            and abs(mean - best) < 0.05,
            other_scores=(
                OtherScore(
                    test_set="test",
                    metric="format_error_rate",
                    unit="fraction unreadable",
                    better="lower",
                    by_seed=dict.fromkeys(found, 0.25),
                ),
            ),
        )


def _standings(
    scores: Scores,
    model: str,
    entries: Sequence[Entry],
    costs: Mapping[str, int] | None,
    infos: Sequence[TaskInfo],
) -> Iterator[Standing]:
    means: dict[str, dict[str, float]] = {}
    for entry in entries:
        if entry.model == model and entry.complete and entry.interval:
            means.setdefault(entry.task, {})[entry.method] = entry.interval.mean
    average = average_ranks(
        [
            ranks(means[task.name], higher_is_better=task.better == "higher")
            for task in infos
            if task.name in means
        ]
    )
    for method, row in scores.items():
        own = [found[method] for found in means.values() if method in found]
        is_whole = bool(own) and len(own) == len(row) and not no_mean(infos)
        mean = 100 * fmean(own) if is_whole else None
        if costs is None:
            yield Standing(
                model=model,
                method=method,
                average_rank=average.get(method),
                mean_score=mean,
            )
            continue
        measured = cost(method, costs[method])
        inputs = (
            measured.trainable_parameters,
            measured.extra_forward_flops / 1e12,
            measured.peak_memory.total / 1e9,
        )
        factors = pscp_factors(*inputs)
        yield Standing(
            model=model,
            method=method,
            average_rank=average.get(method),
            mean_score=mean,
            parameter_factor=factors[0],
            flops_factor=factors[1],
            memory_factor=factors[2],
            pscp=None if mean is None or no_pscp(infos) else pscp(mean, *inputs),
            cost=measured,
        )


def _method(label: str) -> MethodInfo:
    return MethodInfo(
        label=label,
        name="lora",
        parameters={"rank": 8},
        family="reparameterised",
        paper="Hu et al., 2021, arXiv:2106.09685",
        trains=True,
        learning_rate=1e-3,
    )


def _task(name: str, *, is_lower: bool) -> TaskInfo:
    return TaskInfo(
        name=name,
        description="whether a review likes a film",
        is_generated=name.startswith("generated"),
        metric="accuracy",
        unit="fraction correct",
        better="lower" if is_lower else "higher",
        test_examples=1200,
        baselines=(Baseline(name="majority class", answer="yes", value=0.31),),
    )


def _curve(model: str, method: str, task: str, seed: str, score: float) -> Curve:
    return Curve(
        model=model,
        method=method,
        task=task,
        seed=seed,
        validations=tuple(
            Validation(
                step=step, epoch=step / 40, train_loss=80 / step, score=score * share
            )
            for step, share in ((40, 0.5), (80, 0.8), (120, 0.95), (160, 1.0))
        ),
    )
