"""Which perturbed test sets a benchmark asks for, down to their bytes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from peftbench import tasks
from peftbench.errors import InvalidSpec
from peftbench.spec import Benchmark, TestSet
from peftbench.tasks import perturbations
from peftbench.tasks.perturbations._load import FOLDER, find_perturbed_source


def perturbed_sets(
    benchmark: Benchmark, data_dir: Path | None
) -> tuple[dict[str, tuple[TestSet, ...]], tuple[str, ...]]:
    """The perturbed sets of every task, and the names of those there are no rows of.

    Raises `InvalidSpec` where there is nothing to score at all.
    """
    if benchmark.protocol != "strict":
        raise InvalidSpec(
            f"robust: perturbed sets are asked by the rules of the protocol strict, not of "
            f"{benchmark.protocol}. Leave `robust` out, or use `protocol: strict`."
        )
    found: dict[str, tuple[TestSet, ...]] = {}
    without_rows: list[str] = []
    for task in map(tasks.use, benchmark.tasks):
        sets = []
        for name in perturbations.of_task(tasks.CATALOGUE.canonical(task)):
            source = find_perturbed_source(name, task, data_dir)
            if source is None:
                without_rows.append(name)
                continue
            sets.append(
                TestSet(
                    name=name,
                    version=perturbations.get(name).version,
                    data=source.identity,
                    source=perturbations.CATALOGUE.source(name),
                )
            )
        if sets:
            found[task] = tuple(sets)
    if not found:
        raise InvalidSpec(_nothing_to_score(benchmark, without_rows, data_dir))
    return found, tuple(dict.fromkeys(without_rows))


def _nothing_to_score(
    benchmark: Benchmark, without_rows: Sequence[str], data_dir: Path | None
) -> str:
    if without_rows:
        return (
            f"robust: there are no rows of {', '.join(dict.fromkeys(without_rows))}: expected "
            f"{data_dir or '<data folder>'}/{FOLDER}/<set>.jsonl.gz (or .jsonl, .parquet). "
            "docs/robustness.md says where each set is from."
        )
    able = {
        task for name in perturbations.names() for task in perturbations.get(name).readings
    }
    return (
        f"robust: no perturbed set asks what {', '.join(benchmark.tasks)} ask; there are sets "
        f"for {', '.join(sorted(able))}."
    )
