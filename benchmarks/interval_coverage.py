"""How often 95 % intervals hold the truth, and how often 5 % tests err.

    python benchmarks/interval_coverage.py
    python benchmarks/interval_coverage.py --simulations 10000

Results are simulated: answers to 120 rows, seeds being alike, apart by 5 or by 10 points of
accuracy (their standard deviation), or mostly alike and now and then far off.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Iterator
from dataclasses import replace

from peftbench.testing.simulated import (
    HEAVY_TAILED,
    Simulation,
    coverage,
    coverage_of_gap,
    told_apart,
)

SEEDS = (2, 3, 5, 10)
SETTINGS = {
    "seeds alike": Simulation(seeds=2),
    "seeds 5 points apart": Simulation(seeds=2, seed_effect=0.2),
    "5 points, heavy tails": Simulation(seeds=2, seed_effect=0.2, luck=HEAVY_TAILED),
    "seeds 10 points apart": Simulation(seeds=2, seed_effect=0.4),
}
MEANS = {
    "mean of four tasks, seeds alike": (0.0, 0.0, 0.0, 0.0),
    "mean of four, 5 points apart": (0.2, 0.2, 0.2, 0.2),
    "mean of four, apart on one": (0.5, 0.1, 0.1, 0.1),
}


def main() -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser(description="Coverage of intervals in simulation.")
    parser.add_argument("--simulations", type=int, default=2000)
    simulations = parser.parse_args().simulations
    print("# Coverage of intervals, and error rate of tests\n")
    print(f"    {shlex.join(['python', *sys.argv])}\n")
    print(f"In percent of {simulations:,} simulated benchmarks.\n")
    print(f"| | {' | '.join(f'{seeds} seeds' for seeds in SEEDS)} |")
    print(f"|---|{'--:|' * len(SEEDS)}")
    for name, rates in lines(simulations):
        print(
            f"| {name} | {' | '.join(f'{100 * rate:.1f}' for rate in rates)} |", flush=True
        )


def lines(simulations: int) -> Iterator[tuple[str, list[float]]]:
    """What is measured, and its rate for each number of seeds."""
    for name, setting in SETTINGS.items():
        alike = [replace(setting, seeds=seeds) for seeds in SEEDS]
        better = [replace(one, ability=0.8) for one in alike]
        gaps = list(zip(better, alike, strict=True))
        yield (
            f"interval of a score: {name}",
            [coverage([one], simulations) for one in alike],
        )
        yield (
            f"interval of a difference: {name}",
            [coverage_of_gap(*gap, simulations) for gap in gaps],
        )
        yield (
            f"equal methods told apart: {name}",
            [told_apart(one, one, simulations) for one in alike],
        )
    for name, effects in MEANS.items():
        yield (
            f"interval of a {name}",
            [
                coverage(
                    [Simulation(seeds=seeds, seed_effect=one) for one in effects],
                    simulations,
                )
                for seeds in SEEDS
            ],
        )


if __name__ == "__main__":
    main()
