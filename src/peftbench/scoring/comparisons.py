"""Over all tasks: are ranks more than chance, and what holds without a few of the runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from peftbench.scoring.aggregates import (
    chance_corrected,
    interquartile_mean,
    performance_profile,
    probability_of_improvement,
)
from peftbench.scoring.critical_difference import critical_difference
from peftbench.scoring.summary import (
    PROFILE_THRESHOLDS,
    Aggregate,
    CriticalDifference,
    Entry,
    TaskInfo,
)

#: scores[method][task] by seed, corrected for chance.
Runs = dict[str, list[list[float]]]


def rank_tests(
    models: Sequence[str],
    labels: Sequence[str],
    infos: Sequence[TaskInfo],
    entries: Sequence[Entry],
) -> dict[str, CriticalDifference]:
    """Friedman and Nemenyi for each model on which there is something to test."""
    found = {}
    for model in models:
        own = {(e.method, e.task): e for e in entries if e.model == model and e.complete}
        score_by_task = [
            {
                label: (1 if info.better == "higher" else -1) * e.interval.mean
                for label in labels
                if (e := own.get((label, info.name))) and e.interval
            }
            for info in infos
        ]
        tested = critical_difference(score_by_task)
        if tested is not None:
            found[model] = tested
    return found


def aggregates(
    models: Sequence[str],
    labels: Sequence[str],
    infos: Sequence[TaskInfo],
    entries: Sequence[Entry],
) -> tuple[Aggregate, ...]:
    """For each model the methods that have every run of every task.

    Empty where a task has no baseline to correct for, or counts downwards: its scores
    have no common scale with the others'.
    """
    chance = {
        info.name: max(baseline.value for baseline in info.baselines)
        for info in infos
        if info.baselines and info.better == "higher"
    }
    if len(chance) < len(infos) or any(value >= 1 for value in chance.values()):
        return ()
    return tuple(
        one
        for model in models
        for one in _aggregates(model, _runs(model, labels, chance, entries))
    )


def _aggregates(model: str, runs: Runs) -> list[Aggregate]:
    means = {label: interquartile_mean(own) for label, own in runs.items()}
    best = max(means, key=lambda label: means[label].value, default=None)
    return [
        Aggregate(
            model=model,
            method=label,
            interquartile_mean=means[label],
            improvement=probability_of_improvement(runs[best], own)
            if best is not None and label != best
            else None,
            profile=performance_profile(own, PROFILE_THRESHOLDS),
        )
        for label, own in runs.items()
    ]


def _runs(
    model: str,
    labels: Sequence[str],
    chance: Mapping[str, float],
    entries: Sequence[Entry],
) -> Runs:
    own = {(e.method, e.task): e for e in entries if e.model == model and e.complete}
    return {
        label: [
            [chance_corrected(score, at) for score in own[label, task].by_seed.values()]
            for task, at in chance.items()
        ]
        for label in labels
        if all((label, task) in own for task in chance)
    }
