"""Choose the learning rates of the suite `quickstart`, all methods in one way.

Every method that trains runs with every rate of one grid, on every task of the suite,
with a seed that the suite does not use. Its rate is the one with the best mean over
tasks of the validation score; the test split plays no part.

    python recipes/quickstart/learning_rates.py --store runs/learning-rates
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path
from statistics import fmean

import peftbench
from peftbench.spec import read_benchmark

GRID = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1)
SEED = 0


def main() -> None:
    """Run the grid (what the store does not hold yet) and print the choice."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", type=Path, default=Path("runs/learning-rates"))
    store = parser.parse_args().store
    suite = read_benchmark("quickstart")
    spec = suite.model_dump(exclude_unset=True) | {
        "name": "learning-rates",
        "seeds": [SEED],
        "limits": {**suite.limits.model_dump(), "test": 1},
        "methods": [
            {
                **method.model_dump(exclude_unset=True),
                "label": f"{method.name} {rate:g}",
                "training": {"learning_rate": rate},
            }
            for method in suite.methods
            if method.name != "base"
            for rate in GRID
        ],
    }
    scores: dict[str, list[float]] = defaultdict(list)
    with peftbench.Experiment(spec, store=store) as experiment:
        experiment.run(measure_costs=False)
        for planned, record in experiment.ended():
            best = max((look.score for look in record.validations), default=0.0)
            scores[planned.label].append(best)
    print("| method | " + " | ".join(f"{rate:g}" for rate in GRID) + " | chosen |")
    print("|---|" + "---:|" * (len(GRID) + 1))
    for method in suite.methods:
        if method.name != "base":
            means = {rate: fmean(scores[f"{method.name} {rate:g}"]) for rate in GRID}
            cells = " | ".join(f"{100 * mean:.1f}" for mean in means.values())
            best = max(means, key=lambda rate: means[rate])
            print(f"| {method.name} | {cells} | {best:g} |")


if __name__ == "__main__":
    main()
