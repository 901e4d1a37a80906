"""What a method costs on a model: the answer to a short, exclusive probe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from peftbench.spec.benchmark import Precision
from peftbench.spec.cell import Cell
from peftbench.spec.frozen import Amount, Count, Frozen
from peftbench.spec.steps import Base, CellMethod, Measure, Probe


class Memory(Frozen):
    """Bytes of live tensors at the peak of a training step, by what they hold."""

    total: Count
    weights: Count
    """Of the base model, frozen."""
    adapter: Count
    """What the method added or trains."""
    gradients: Count
    optimizer: Count
    activations: Count
    """The rest: kept for the backward pass, temporaries."""
    allocated: Count | None = None
    """Peak of CUDA's allocator; None on other devices."""
    reserved: Count | None = None
    """Peak of what CUDA's allocator took from the device; None on other devices."""


class Seconds(Frozen):
    """A time over the probe's repeats."""

    median: Amount
    spread: Amount
    """Interquartile range."""


class Cost(Frozen):
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
    """The device and the machine's name."""
    device_kind: str = "cpu"
    """"cpu", or a GPU's name."""
    trainable_parameters: Count
    head_parameters: Count = 0
    """Of these, in an output layer that is not the input embedding too."""
    base_parameters: Count
    stored_bytes: Count
    serve_bytes: Count | None = None
    """Beside the base model's, in memory, to serve the saved adapter unmerged."""
    forward_flops: Count
    """Of one inference input; a multiplication and an addition are two."""
    forward_attention_flops: Count | None = None
    """Of these, in the products of queries, keys and values."""
    extra_forward_flops: int = Field(gt=-(2**63), lt=2**63)
    """More than the base model needs on the same input."""
    training_step_flops: Count
    """Forward and backward, of one training input."""
    peak_memory: Memory
    step_seconds: Amount | None
    """One training step: forward, backward, optimiser; the median over the repeats."""
    step_seconds_spread: Amount | None
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
    step_joules: Amount | None = None
    """Energy of a training step, by the GPU's counter."""
    token_joules: Amount | None = None
    """Energy of one generated token, with its share of reading the input."""
    load_average: Amount | None = None
    """Processes that wanted to run in the minute before the probe."""
    packages: Mapping[str, str]

    @property
    def step(self) -> Measure:
        """What was asked: the step that this is the outcome of. What is predicted for a kind
        of device is not measured on it."""
        is_measured = self.basis == "measured"
        return Measure(
            base=Base(identity=self.model_identity, dtype=self.dtype),
            method=self.method,
            probe=self.probe,
            device=self.device_kind if is_measured else f"predicted {self.device_kind}",
        )

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


def precision_of(cell: Cell) -> Precision:
    """What the cell trains in; any will do where nothing is trained."""
    return cell.training.precision if cell.training else "float32"
