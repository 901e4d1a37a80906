"""What is stored: the outcome of a cell, and the cost of a method. Written once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from peftbench.spec.cell import Cell, CellMethod, digest

Status = Literal["finished", "diverged", "oom", "failed", "lost"]

#: Whose result a record is: a run of ours, another tool's files, or a publication.
Kind = Literal["run", "imported", "published"]

#: Version of the records that this code writes. A store with newer ones is refused.
SCHEMA_VERSION = 1


class Stored(BaseModel):
    """Base of all we store, parts too: pydantic does not pass this config down."""

    # NaN does not survive JSON: an absent score is absent, and `error` says why.
    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True
    )


class Score(Stored):
    """One metric over one set of examples."""

    name: str
    value: float
    standard_error: float | None
    """Over test examples, by the jackknife; None where it is not defined."""
    examples: int | None
    """None where an import does not say."""


class Unavailable(Stored):
    """A metric that was asked for and could not be computed. It is not 0, and no other
    metric takes its place."""

    name: str
    reason: str
    """What is missing, and what to do next."""
    is_headline: bool = False


class Baseline(Stored):
    """What an answer that ignores the prompt scores on the headline metric."""

    name: Literal["majority class", "best label", "constant"]
    answer: str
    value: float


class Validation(Stored):
    """One look at the validation part while training."""

    step: int
    epoch: float | None
    """None where an import does not say."""
    train_loss: float
    """Mean loss per target token since the look before; nats."""
    score: float
    """The task's validation metric, mostly its headline, on the validation part."""


class Provenance(Stored):
    """Where an imported or published record comes from."""

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
    learning_rate: float | None = None
    """Where the settings tell."""


class Reported(Stored):
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


class TrialResult(Stored):
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


class Manifest(Stored):
    """Where, when and with what a record was made. Of an import, what it tells: the rest
    is "", 0 or None."""

    started_at: str
    finished_at: str
    host: str
    platform: str
    device: str
    threads: int
    packages: Mapping[str, str]
    git_commit: str | None
    """Of peftbench's own working tree; None where it is installed from a package."""
    git_dirty: bool | None
    initial_adapter_sha256: str | None
    """Of the trainable tensors before the first step."""
    chat_template: bool | None
    """Whether prompts went through the tokenizer's chat template."""
    resumed: int = 0
    """How often the run went on from a checkpoint after an interruption."""
    programs_run_in: str | None = None
    """What ran the programs that the model wrote; None where none were run."""
    ran_programs_unsafely: bool = False
    """Whether that was no sandbox, which somebody asked for outright."""


class Record(Stored):
    """The outcome of one cell: enough to rank it, audit it and repeat it."""

    schema_version: Literal[1] = 1
    kind: Kind = "run"
    cell: Cell
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
    counts: Mapping[str, int] = {}
    """Examples used and left out: "train examples", "prompts cut", ..."""
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


class Probe(Stored):
    """The fixed inputs on which a method's cost is measured."""

    inference_batch: int = 1
    inference_length: int = 512
    training_batch: int = 4
    training_length: int = 512
    repeats: int = 5
    new_tokens: int = 16
    """Generated after the first, for the time per token."""


class Memory(Stored):
    """Bytes of live tensors at the peak of a training step, by what they hold."""

    total: int
    weights: int
    """Of the base model, frozen."""
    adapter: int
    """What the method added or trains."""
    gradients: int
    optimizer: int
    activations: int
    """The rest: kept for the backward pass, temporaries."""
    allocated: int | None = None
    """Peak of CUDA's allocator; None on other devices."""
    reserved: int | None = None
    """Peak of what CUDA's allocator took from the device; None on other devices."""


class Seconds(Stored):
    """A time over the probe's repeats."""

    median: float
    spread: float
    """Interquartile range."""


class Cost(Stored):
    """What one method costs on one model and machine: a short, exclusive probe.

    None stands where there is nothing to tell: a time that was not measured, an energy
    without a counter, merging of what cannot be merged.
    """

    schema_version: Literal[1] = 1
    basis: Literal["measured", "predicted"] = "measured"
    """Predicted: counted without weights, on a device that need not be there."""
    model: str
    model_identity: str
    dtype: str
    method: CellMethod
    probe: Probe
    device: str
    trainable_parameters: int
    head_parameters: int = 0
    """Of these, in an output layer that is not the input embedding too."""
    base_parameters: int
    stored_bytes: int
    serve_bytes: int | None = None
    """Beside the base model's, in memory, to serve the saved adapter unmerged."""
    forward_flops: int
    """Of one inference input; a multiplication and an addition are two."""
    forward_attention_flops: int | None = None
    """Of these, in the products of queries, keys and values."""
    extra_forward_flops: int
    """More than the base model needs on the same input."""
    training_step_flops: int
    """Forward and backward, of one training input."""
    peak_memory: Memory
    step_seconds: float | None
    """One training step: forward, backward, optimiser; the median over the repeats."""
    step_seconds_spread: float | None
    """Interquartile range over the repeats."""
    prefill: Seconds | None = None
    """From an inference input to its first new token, unmerged."""
    token: Seconds | None = None
    """Each further token of it, unmerged."""
    prefill_merged: Seconds | None = None
    token_merged: Seconds | None = None
    load: Seconds | None = None
    """From the saved adapter to a model with it on."""
    merge: Seconds | None = None
    step_joules: float | None = None
    """Energy of a training step, by the GPU's counter."""
    token_joules: float | None = None
    """Energy of one generated token, with its share of reading the input."""
    load_average: float | None = None
    """Processes that wanted to run in the minute before the probe."""
    packages: Mapping[str, str]

    @property
    def id(self) -> str:
        """Same question, same id: SHA-256 over what was asked and on what device."""
        asked = self.model_dump(
            mode="json",
            include={"basis", "model_identity", "dtype", "method", "probe", "device"},
        )
        return digest(asked)

    @property
    def adapter_parameters(self) -> int:
        """Trained scalars that are not in the output layer."""
        return self.trainable_parameters - self.head_parameters

    @property
    def forward_flops_per_token(self) -> float:
        """Of inference at the probe's length."""
        return self.forward_flops / (
            self.probe.inference_batch * self.probe.inference_length
        )

    @property
    def training_flops_per_token(self) -> float:
        """Of training at the probe's length, forward and backward."""
        return self.training_step_flops / self.training_tokens

    @property
    def training_tokens(self) -> int:
        """Of one training input; virtual tokens are not the user's and do not count."""
        return self.probe.training_batch * self.probe.training_length

    @property
    def training_tokens_per_second(self) -> float | None:
        """Throughput of the median step."""
        return self.training_tokens / self.step_seconds if self.step_seconds else None
