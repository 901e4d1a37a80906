"""What comes of a step: written once, and enough to audit it and to repeat it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Literal

from peftbench.cost.costs import Cost
from peftbench.evaluation.scores import Baseline, PerturbedScores, Score, Unavailable
from peftbench.manifest import Manifest
from peftbench.spec.facts import Leak, LeftOut
from peftbench.spec.frozen import Amount, Count, Frozen, canonical_json
from peftbench.training.validation import Validation

Status = Literal["finished", "diverged", "oom", "failed", "lost"]

#: Whose result it is: a run of ours, another tool's files, or a publication.
Kind = Literal["run", "imported", "published"]

#: What is said of the making and not of the thing made.
CIRCUMSTANCES = frozenset(
    {
        "manifest",
        "seconds",
        "wall_seconds",
        "provenance",
        "graded_at",
        "peftbench_version",
    }
)


class Provenance(Frozen):
    """Where an imported or published result comes from."""

    tool: str
    """What made it: "peft-factory", "hf-method-comparison", or a publication."""
    path: str
    """Folder or file it was read from."""
    files: Mapping[str, str] = {}
    """SHA-256 of every file that was read, by its path there."""
    imported_at: str = ""
    about: str = ""
    """What the task is, where it is none of ours."""
    facts: Mapping[str, Any] = {}
    """What else it says of machine and versions, in its own words."""
    settings: Mapping[str, Any] = {}
    """What the run was asked to do, in the tool's own words."""
    learning_rate: Amount | None = None
    """Where the settings tell."""


class Reported(Frozen):
    """What an import says that a run cost. Not measured here; None: not told."""

    trainable_parameters: Count | None = None
    total_parameters: Count | None = None
    extra_forward_flops: Amount | None = None
    """Of one input of 512 tokens, more than the base model's."""
    train_seconds: Amount | None = None
    """As published; what it includes is the tool's business."""
    step_seconds: Amount | None = None
    """All training steps together, and nothing else."""
    evaluation_seconds: Amount | None = None
    """All validations together."""
    tokens_per_second: Amount | None = None
    """Training tokens over step time, mean over the validations that give it."""
    memory_mean_bytes: Amount | None = None
    memory_p99_bytes: Amount | None = None
    memory_peak_bytes: Amount | None = None


class Outcome(Frozen):
    """Base of all outcomes."""

    status: Status = "finished"
    error: str | None = None
    """Why the step did not finish: what happened and what to do next."""
    manifest: Manifest | None = None
    seconds: Mapping[str, Amount] = {}
    """Wall time by phase. An account of the work, not a measure of a method's cost."""
    wall_seconds: Amount | None = None
    """From the start of the work to its result; what the phases add up to."""

    @property
    def numbers(self) -> str:
        """SHA-256 over all but when, where and how long: equal work has equal numbers."""
        said = self.model_dump(mode="json", exclude=set(CIRCUMSTANCES))
        return hashlib.sha256(canonical_json(said).encode()).hexdigest()


class Trained(Outcome):
    """A run, up to its saved adapter, whose files go with it."""

    kind: Kind = "run"
    validations: tuple[Validation, ...] = ()
    steps: Count = 0
    """Optimiser steps taken."""
    best_step: Count | None = None
    """Step of the adapter that was kept."""
    trainable_parameters: Count | None = None
    stored_bytes: Count | None = None
    """Bytes of the saved adapter's files."""
    micro_batch_size: Count | None = None
    """What fitted into memory in the end."""
    train_examples: Count = 0
    train_left_out_as_too_long: Count = 0
    train_prompts_cut: Count = 0
    validation_examples: Count = 0
    facts: Mapping[str, float] = {}
    """What the method says of what it learned, each under a phrase that says what it is."""
    provenance: Provenance | None = None
    """None for a run of ours, of which `manifest` says all."""
    reported: Reported | None = None


class Tried(Outcome):
    """How far a run got before it was given up."""

    validations: tuple[Validation, ...] = ()
    best_step: Count | None = None
    is_pruned: bool = False


class Predicted(Outcome):
    """Answers to a test set; the rows are a file that goes with it."""

    examples: Count = 0
    prompts_cut: Count = 0
    """Prompts read without their beginning, being too long."""
    rows_not_asked: Count = 0
    """Of a perturbed set, rows that the task cannot ask."""
    trainable_parameters: Count | None = None
    """Where nothing trains: of the method as it was put on."""
    stored_bytes: Count | None = None


class Graded(Outcome):
    """Scores; what every row adds to them is a file that goes with it."""

    scores: tuple[Score, ...] = ()
    """The headline metric first, unless it is unavailable."""
    unavailable: tuple[Unavailable, ...] = ()
    """Metrics that could not be computed where this was graded."""
    baselines: tuple[Baseline, ...] = ()
    perturbed: PerturbedScores | None = None
    """Of a perturbed set, which has these alone: scores there beside those on the test split."""
    rows_left_out: tuple[LeftOut, ...] = ()
    leaks: tuple[Leak, ...] = ()
    scorer: str = ""
    """SHA-256 of the code that read answers and computed metrics."""
    peftbench_version: str = ""
    task_version: int | None = None
    graded_at: str = ""


AnyOutcome = Trained | Tried | Predicted | Graded | Cost
#: What comes of each kind of step.
OUTCOMES: Mapping[str, type[AnyOutcome]] = {
    "train": Trained,
    "trial": Tried,
    "predict": Predicted,
    "grade": Graded,
    "measure": Cost,
}
