"""What a method says of what it learned is in the record, and shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from command_line import peftbench
from peftbench.api import Experiment, run


@pytest.mark.usefixtures("no_processes")
def test_shares_of_selected_tokens_are_in_the_record_and_shown(tmp_path: Path) -> None:
    run(
        {
            "name": "facts",
            "models": ["tiny"],
            "methods": [{"name": "ts-bottleneck", "parameters": {"bottleneck": 4}}],
            "tasks": ["generated_mood"],
            "seeds": [1],
            "training": {"steps": 4, "validations": 1, "learning_rate": 0.01},
            "limits": {"train": 64, "validation": 8, "test": 8},
        },
        store=tmp_path,
        workers=1,
        measure_costs=False,
    )
    with Experiment.open(tmp_path) as experiment:
        record = experiment.record("ts-bottleneck/generated_mood/1")
    assert record.status == "finished", record.error
    facts = record.facts
    assert all(name.startswith("tokens selected, model.layers.") for name in facts)
    assert len(facts) >= 2
    assert all(0 < share <= 1 for share in facts.values())
    shown = peftbench("show", record.cell.id[:12], "--store", str(tmp_path)).stdout
    assert "tokens selected, model.layers.0.mlp:" in shown
