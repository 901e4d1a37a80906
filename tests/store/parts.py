"""Parts of results, made by hand."""

from __future__ import annotations

from peftbench.evaluation.scores import Score
from peftbench.manifest import Manifest
from peftbench.spec import Cell, CellMethod, CellModel, CellTask, Limits
from peftbench.spec.facts import Better


def cell(seed: int = 1) -> Cell:
    """A cell of lora on mnli."""
    return Cell(
        model=CellModel(name="tiny", identity="sha256:0", dtype="auto", chat_template=True),
        method=CellMethod(name="lora", parameters={"rank": 8}),
        task=CellTask(name="mnli", version=1, data="sha256:2"),
        seed=seed,
        training=None,
        max_length=128,
        limits=Limits(),
        protocol="strict",
    )


def manifest() -> Manifest:
    """Of no machine in particular."""
    return Manifest(
        started_at="t", finished_at="t", host="h", platform="p", device="cpu",
        threads=1, packages={}, git_commit=None, git_dirty=None,
        initial_adapter_sha256=None, chat_template=False,
    )  # fmt: skip


def score(value: float, *, test_set: str = "test", better: Better = "higher") -> Score:
    """An accuracy with a standard error of 0.01."""
    return Score(
        test_set=test_set,
        metric="accuracy",
        value=value,
        standard_error=0.01,
        examples=2,
        unit="fraction correct",
        better=better,
    )
