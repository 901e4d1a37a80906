"""The summaries that more than one test renders."""

from __future__ import annotations

import pytest

from peftbench.scoring.summary import Summary
from report.builder import HOSTILE, TRAINABLE, build


@pytest.fixture
def usual() -> Summary:
    """Nine methods, three tasks, two seeds, one failure."""
    strength = dict(
        zip(TRAINABLE, (0.1, 0.9, 0.91, 0.8, 0.76, 0.7, 0.55, 0.6, 0.58), strict=True)
    )
    scores: dict[str, dict[str, list[float | None]]] = {
        method: {
            task: [high - 0.1 * place, high - 0.1 * place - 0.002 * (1 + 3 * place)]
            for place, task in enumerate(("generated_mood", "sst2", "stsb"))
        }
        for method, high in strength.items()
    }
    scores["p-tuning"]["stsb"][1] = None
    return build(scores, costs=TRAINABLE)


@pytest.fixture
def hostile() -> Summary:
    """Every text that a user or a plug-in can choose is `HOSTILE`."""
    summary = build(
        {HOSTILE: {HOSTILE: [0.9, 0.8], "sst2": [0.9, None]},
         "lora": {HOSTILE: [0.8, 0.7], "sst2": [0.7, 0.8]},
         "ia3": {HOSTILE: [0.6, 0.7], "sst2": [0.5, 0.8]}},
        models=(HOSTILE,), costs={HOSTILE: 100, "lora": 2000, "ia3": 0},
        name=HOSTILE, description=HOSTILE, reason=HOSTILE,
    )  # fmt: skip
    odd = {"metric": HOSTILE, "description": HOSTILE, "unit": HOSTILE}
    tasks = tuple(task.model_copy(update=odd) for task in summary.tasks)
    return summary.model_copy(update={"tasks": tasks})
