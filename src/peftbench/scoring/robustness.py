"""From evaluations on perturbed test sets to what is left of a score there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from peftbench.scoring.entries import seed_of
from peftbench.scoring.intervals import mean_interval
from peftbench.scoring.summary import Interval, Robustness
from peftbench.spec.facts import Better
from peftbench.spec.steps import TestSet
from peftbench.store.planned import PlannedCell
from peftbench.store.record import Evaluation, Record

#: A clean score is above its constant only if it is so by more than so many standard errors.
STANDARD_ERRORS = 2.0

NOT_ABOVE = "clean not above constant"
ONE_ANSWER = "one answer fits all perturbed rows"


def retention(perturbed: float, clean: float, c_perturbed: float, c_clean: float) -> float:
    """``(perturbed - c) / (clean - c)``: the share of what was learnt that is left.

    Each score is counted from the c of its own set: what the best constant answer scores
    there. Only where `why_undefined` finds nothing is this a number to look at.

    >>> round(retention(0.65, 0.8, 0.5, 0.5), 3)
    0.5
    """
    return (perturbed - c_perturbed) / (clean - c_clean)


def why_undefined(
    clean: float,
    standard_error: float | None,
    c_perturbed: float,
    c_clean: float,
    better: Better = "higher",
) -> str:
    """Why there is no retention; empty where there is one.

    Where the clean score is not above its c by more than two standard errors there is
    nothing to retain: the ratio would be noise, or have the wrong sign.

    >>> why_undefined(0.52, 0.02, 0.5, 0.5)
    'clean not above constant'
    """
    learnt = clean - c_clean if better == "higher" else c_clean - clean
    if learnt <= STANDARD_ERRORS * (standard_error or 0.0):
        return NOT_ABOVE
    if better == "higher" and c_perturbed >= 1:
        return ONE_ANSWER
    return ""


def robustness(
    planned: Sequence[PlannedCell], records: Mapping[str, Record]
) -> tuple[Robustness, ...]:
    """One row for every model, method, task and perturbed set that was scored.

    Of a set that was scored on different rows at different times, the rows that most cells
    were scored on count.
    """
    chosen = _chosen(planned, records)
    groups: dict[tuple[str, str, str], list[PlannedCell]] = {}
    for one in planned:
        groups.setdefault((one.model, one.label, one.cell.task.name), []).append(one)
    rows = []
    for place, cells in groups.items():
        for test_set in (chosen[key] for key in sorted(chosen) if key[0] == place[2]):
            found = {
                seed_of(one.cell): evaluation
                for one in cells
                for evaluation in _evaluations(one, records)
                if evaluation.test_set == test_set
            }
            if found:
                rows.append(_row(place, test_set, found, len(cells)))
    return tuple(rows)


def _chosen(
    planned: Sequence[PlannedCell], records: Mapping[str, Record]
) -> dict[tuple[str, str], TestSet]:
    """The rows that count for each task and name of a set."""
    counts: dict[tuple[str, str], Counter[TestSet]] = {}
    for one in planned:
        for evaluation in _evaluations(one, records):
            key = (one.cell.task.name, evaluation.test_set.name)
            counts.setdefault(key, Counter())[evaluation.test_set] += 1
    return {key: count.most_common(1)[0][0] for key, count in counts.items()}


def _evaluations(
    planned: PlannedCell, records: Mapping[str, Record]
) -> tuple[Evaluation, ...]:
    record = records.get(planned.cell.id)
    return record.evaluations if record else ()


def _row(
    place: tuple[str, str, str],
    test_set: TestSet,
    found: Mapping[str, Evaluation],
    asked: int,
) -> Robustness:
    scored = {seed: one.comparison for seed, one in found.items() if one.comparison}
    first = next(iter(scored.values()), None)
    better = first.clean.better if first else "higher"
    kept: dict[str, float] = {}
    undefined: Counter[str] = Counter()
    for seed, one in scored.items():
        levels = (one.constant.value, one.clean_constant.value)
        error = one.clean.standard_error
        if reason := why_undefined(one.clean.value, error, *levels, better):
            undefined[reason] += 1
        else:
            kept[seed] = retention(one.scores[0].value, one.clean.value, *levels)
    clean = {seed: one.clean.value for seed, one in scored.items()}
    perturbed = {seed: one.scores[0].value for seed, one in scored.items()}
    sign = 1 if better == "higher" else -1
    drop = {seed: sign * (clean[seed] - perturbed[seed]) for seed in scored}
    model, method, task = place
    return Robustness(
        model=model,
        method=method,
        task=task,
        test_set=test_set.name,
        metric=first.clean.metric if first else "",
        unit=first.clean.unit if first else "",
        better=better,
        examples=first.scores[0].examples if first else None,
        constant=first.constant.value if first else None,
        clean_constant=first.clean_constant.value if first else None,
        by_seed={"clean": clean, "perturbed": perturbed, "drop": drop, "retention": kept},
        clean=_interval(clean.values()),
        perturbed=_interval(perturbed.values()),
        drop=_interval(drop.values()),
        retention=None if undefined else _interval(kept.values()),
        complete=len(scored) == asked,
        reason=_reason(found, undefined, len(scored)),
    )


def _reason(found: Mapping[str, Evaluation], undefined: Counter[str], scored: int) -> str:
    """Why numbers of a row are absent."""
    reasons = [one.error.splitlines()[0] for one in found.values() if one.error]
    for reason, count in undefined.items():
        reasons.append(f"{reason}: {count} of {scored} seeds" if scored > 1 else reason)
    return "; ".join(dict.fromkeys(reasons))


def _interval(values: Iterable[float]) -> Interval | None:
    listed = list(values)
    return mean_interval(listed) if listed else None
