"""What a plan can show: from a pilot where there is one, else from assumptions."""

from __future__ import annotations

import numpy as np
import pytest

from peftbench.evidence import most_variable
from peftbench.scoring.components import components
from peftbench.scoring.paired import paired


def answers(seed: int, luck: float, seeds: int = 3, rows: int = 200) -> np.ndarray:
    chance = np.random.default_rng(seed)
    ability = 0.6 + luck * chance.normal(size=(seeds, 1))
    return (chance.random((seeds, rows)) < ability).astype(float)


def test_the_pair_that_is_hardest_to_tell_apart_decides() -> None:
    calm, also_calm, wild = answers(1, 0.0), answers(2, 0.0), answers(3, 0.3)
    found = most_variable([calm, also_calm, wild], seeds=3, rows=200)
    pairs = [components(paired(a, b)) for a, b in ((calm, wild), (also_calm, wild))]
    assert found in pairs
    assert found is not None
    assert found.between_seeds > 5 * components(paired(calm, also_calm)).between_seeds


@pytest.mark.parametrize(
    "tables",
    [
        [],
        [answers(1, 0.1)],
        [answers(1, 0.1), answers(2, 0.1, rows=100)],  # other rows
        [answers(1, 0.1, seeds=1), answers(2, 0.1, seeds=1)],  # no seeds to differ
        [np.zeros((3, 9)), np.zeros((3, 9))],  # nothing learnt, nothing differs
    ],
)
def test_what_cannot_be_measured_is_not(tables: list[np.ndarray]) -> None:
    assert most_variable(tables, seeds=3, rows=200) is None
