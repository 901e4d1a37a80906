"""How a ranking by PSCP moves with the opinion behind it: its constants and betas."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from peftbench.scoring.penalties import (
    MEMORY_CONSTANT_GB,
    PARAMETER_CONSTANT,
    TFLOPS_CONSTANT,
    pscp,
)
from peftbench.scoring.ranks import ranks
from peftbench.scoring.summary import Standing


@dataclass(frozen=True, kw_only=True)
class Opinion:
    """What counts as expensive (the constants), and how much that weighs (the betas)."""

    name: str
    betas: tuple[float, float, float] = (1.0, 1.0, 1.0)
    parameter_constant: float = PARAMETER_CONSTANT
    tflops_constant: float = TFLOPS_CONSTANT
    memory_constant_gb: float = MEMORY_CONSTANT_GB


#: The published one first, then the variants of the paper's appendix.
PUBLISHED = (
    Opinion(name="published"),
    Opinion(name="β_p = 2", betas=(2.0, 1.0, 1.0)),
    Opinion(name="β_f = 2", betas=(1.0, 2.0, 1.0)),
    Opinion(name="β_m = 2", betas=(1.0, 1.0, 2.0)),
    Opinion(name="all β = 2", betas=(2.0, 2.0, 2.0)),
    Opinion(name="all β = 0", betas=(0.0, 0.0, 0.0)),
)


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """PSCP and rank of every method under one opinion."""

    opinion: Opinion
    scores: dict[str, float]
    ranks: dict[str, float]


def rankings(standings: Sequence[Standing]) -> tuple[Ranking, ...]:
    """Under the published opinions, and with constants at this benchmark's medians, which
    make every cost matter whatever the size of the model."""
    rated = [s for s in standings if s.pscp is not None and s.pscp_inputs is not None]
    return tuple(_ranking(opinion, rated) for opinion in (*PUBLISHED, *_at_medians(rated)))


def _ranking(opinion: Opinion, rated: Sequence[Standing]) -> Ranking:
    scores = {}
    for standing in rated:
        priced = standing.pscp_inputs
        assert priced is not None
        assert standing.mean_score is not None
        scores[standing.method] = pscp(
            standing.mean_score,
            priced.trainable_parameters,
            priced.extra_forward_flops / 1e12,
            priced.peak_memory_bytes / 1e9,
            betas=opinion.betas,
            parameter_constant=opinion.parameter_constant,
            tflops_constant=opinion.tflops_constant,
            memory_constant_gb=opinion.memory_constant_gb,
        )
    return Ranking(opinion=opinion, scores=scores, ranks=ranks(scores) if scores else {})


def _at_medians(rated: Sequence[Standing]) -> tuple[Opinion, ...]:
    """The medians of the costs that are not zero; none where a cost is zero everywhere."""
    priced = [s.pscp_inputs for s in rated if s.pscp_inputs]
    costs = (
        [p.trainable_parameters for p in priced],
        [p.extra_forward_flops / 1e12 for p in priced],
        [p.peak_memory_bytes / 1e9 for p in priced],
    )
    positive = [[value for value in values if value > 0] for values in costs]
    if not all(positive):
        return ()
    parameters, tflops, memory = (float(np.median(values)) for values in positive)
    return (
        Opinion(
            name="medians",
            parameter_constant=parameters,
            tflops_constant=tflops,
            memory_constant_gb=memory,
        ),
    )
