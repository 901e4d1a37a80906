"""What is stored: the outcome of a cell, and the cost of a method. Written once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from peftbench.evaluation.scores import Baseline, Score, Unavailable
from peftbench.manifest import Manifest
from peftbench.spec.cell import Cell
from peftbench.spec.facts import Leak, LeftOut, MethodFacts, TaskFacts
from peftbench.spec.frozen import Frozen
from peftbench.training.validation import Validation

Status = Literal["finished", "diverged", "oom", "failed", "lost"]

#: Whose result a record is: a run of ours, another tool's files, or a publication.
Kind = Literal["run", "imported", "published"]

#: Version of the records that this code writes. A store with newer ones is refused.
SCHEMA_VERSION = 1


class Provenance(Frozen):
    """Where an imported or published record comes from."""

    tool: str
    """What made it: "peft-factory", "hf-method-comparison", or a publication."""
    path: str
    """Folder or file it was read from."""
    files: Mapping[str, str] = {}
    """SHA-256 of every file that was read, by its path there."""
    imported_at: str = ""
    facts: Mapping[str, Any] = {}
    """What else it says of machine and versions, in its own words."""
    settings: Mapping[str, Any] = {}
    """What the run was asked to do, in the tool's own words."""
    learning_rate: float | None = None
    """Where the settings tell."""


class Reported(Frozen):
    """What an import says that a run cost. Not measured here; None: not told."""

    trainable_parameters: int | None = None
    total_parameters: int | None = None
    extra_forward_flops: float | None = None
    """Of one input of 512 tokens, more than the base model's."""
    train_seconds: float | None = None
    """As published; what it includes is the tool's business."""
    step_seconds: float | None = None
    """All training steps together, and nothing else."""
    evaluation_seconds: float | None = None
    """All validations together."""
    tokens_per_second: float | None = None
    """Training tokens over step time, mean over the looks that give it."""
    memory_mean_bytes: float | None = None
    memory_p99_bytes: float | None = None
    memory_peak_bytes: float | None = None


class Counts(Frozen):
    """Rows that a run used, and what became of the others."""

    train_examples: int = 0
    train_left_out_as_too_long: int = 0
    """Training examples whose answers do not fit into the run's length."""
    train_prompts_cut: int = 0
    """At their start, to fit into the run's length."""
    validation_examples: int = 0
    test_examples: int | None = None
    """None where the test split was not scored: of a trial."""
    test_prompts_cut: int | None = None
    rows_left_out: tuple[LeftOut, ...] = ()
    """Rows that a split cannot use."""
    leaks: tuple[Leak, ...] = ()
    """Every pair of splits, also those that share nothing; none where nobody counted."""


class TrialResult(Frozen):
    """One setting that tuning tried, and what it reached on the validation part."""

    number: int
    """From 0, which is the method's default."""
    settings: Mapping[str, Any]
    score: float | None
    """Best look's headline; the mean over tasks where one setting serves all. None where
    a run failed."""
    cells: tuple[str, ...]
    """Ids of the runs: one, or one for each task."""
    is_pruned: bool = False


class Record(Frozen):
    """The outcome of one cell: enough to rank it, audit it and repeat it."""

    schema_version: Literal[1] = 1
    kind: Kind = "run"
    cell: Cell
    task: TaskFacts | None = None
    """None where nobody could tell: its file does not open."""
    method: MethodFacts | None = None
    status: Status
    manifest: Manifest
    error: str | None = None
    """Why a cell did not finish: what happened and what to do next."""
    scores: tuple[Score, ...] = ()
    """On the test split; the headline metric first, unless it is unavailable."""
    unavailable: tuple[Unavailable, ...] = ()
    """Metrics that could not be computed where the cell was run."""
    baselines: tuple[Baseline, ...] = ()
    validations: tuple[Validation, ...] = ()
    trials: tuple[TrialResult, ...] = ()
    """How the settings were chosen; empty where they were given."""
    steps: int = 0
    """Optimiser steps taken."""
    best_step: int | None = None
    """Step of the adapter that was kept and scored."""
    trainable_parameters: int | None = None
    stored_bytes: int | None = None
    """Bytes of the saved adapter's files."""
    micro_batch_size: int | None = None
    """What fitted into memory in the end."""
    counts: Counts | None = None
    """None where the run did not get so far, or an import does not tell."""
    facts: Mapping[str, float] = {}
    """What the method says of what it learned: "tokens selected, ..."."""
    seconds: Mapping[str, float] = {}
    """Wall time by phase. An account of the run, not a measure of the method's cost."""
    wall_seconds: float | None = None
    """From the claim of the cell to its record; what the phases add up to."""
    provenance: Provenance | None = None
    """None for a run of ours, of which `manifest` says all."""
    reported: Reported | None = None

    @property
    def headline(self) -> Score | None:
        """The score that tables show; None where the cell did not finish, or where that
        metric could not be computed."""
        if any(one.is_headline for one in self.unavailable):
            return None
        return self.scores[0] if self.scores else None
