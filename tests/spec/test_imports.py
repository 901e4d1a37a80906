"""Looking at results must be instant: what only reads them imports no torch."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("torch", "transformers", "peft", "datasets", "accelerate")


@pytest.mark.parametrize("package", ["spec", "store", "scoring", "report"])
def test_package_imports_nothing_heavy(package: str) -> None:
    program = (
        f"import sys, peftbench.{package}; "
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_listing_and_fetching_every_name_imports_nothing_heavy() -> None:
    program = (
        "import sys\n"
        "from peftbench import methods, models, tasks\n"
        "from peftbench.evaluation import metrics\n"
        "for kind in (methods, tasks, metrics):\n"
        "    for name in kind.names():\n"
        "        kind.get(name)\n"
        "models.names()\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_scoring_needs_no_catalogue() -> None:
    """Not even by way of others: a record says all that a report shows."""
    program = (
        "import sys, peftbench.scoring, peftbench.scoring.recommend, peftbench.scoring.pareto\n"
        "rooms = ('catalogue', 'tasks', 'methods', 'models', 'evaluation.metrics')\n"
        "names = tuple(f'peftbench.{room}' for room in rooms)\n"
        "print([name for name in sys.modules if name.startswith(names)])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
