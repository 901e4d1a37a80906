"""What can be counted: the same numbers from a real model and from one without data."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self

import torch
from torch import nn
from transformers import PreTrainedModel

from peftbench.cost import flops, memory
from peftbench.cost.costs import Memory
from peftbench.cost.flops import Flops
from peftbench.cost.step import RepeatedStep, context, forward, tokens, training_batch
from peftbench.cost.storage import BaseBytes, stored_bytes
from peftbench.encoding.batches import Batch
from peftbench.methods import Method, RunContext
from peftbench.spec import Probe
from peftbench.spec.benchmark import Precision
from peftbench.training.checkpointing import gradient_checkpointing
from peftbench.training.seeds import seed_everything, trainable


@dataclass(frozen=True)
class Inputs:
    """The fixed inputs of the meter, each (batch, length), and how a step is taken."""

    inference: tuple[int, int] = (1, 512)
    training: tuple[int, int] = (4, 512)
    gradient_checkpointing: bool = False
    answer_length: int | None = None  # of each row, what the loss is on; None: all
    precision: Precision = "float32"  # of the passes of training

    @classmethod
    def of(cls, probe: Probe) -> Self:
        """Those of a probe."""
        return cls(
            inference=(probe.inference_batch, probe.inference_length),
            training=(probe.training_batch, probe.training_length),
            precision=probe.precision,
        )

    def training_batch(self, vocabulary: int, device: torch.device) -> Batch:
        """What a step is taken on."""
        return training_batch(vocabulary, *self.training, device, self.answer_length)


@dataclass(frozen=True)
class Counted:
    """Parameters, bytes and FLOPs of a method on a model."""

    trainable_parameters: int
    head_parameters: int  # of these, in an output layer that is not the embedding too
    stored_bytes: int
    serve_bytes: int  # beside the base's own, unmerged
    forward_flops: Flops  # of one inference input
    training_step_flops: Flops
    memory: Memory

    def columns(self, bare_flops: int) -> dict[str, Any]:
        """As a `Cost` has it; `bare_flops` are those of the base's forward pass."""
        return {
            "trainable_parameters": self.trainable_parameters,
            "head_parameters": self.head_parameters,
            "stored_bytes": self.stored_bytes,
            "serve_bytes": self.serve_bytes,
            "forward_flops": self.forward_flops.total,
            "forward_attention_flops": self.forward_flops.attention,
            "extra_forward_flops": self.forward_flops.total - bare_flops,
            "training_step_flops": self.training_step_flops.total,
            "peak_memory": self.memory,
        }


def count(
    method: Method,
    model: PreTrainedModel,
    vocabulary: int,
    inputs: Inputs,
    folder: Path | None = None,
    *,
    start_from_data: bool = True,
) -> Counted:
    """Count on `model`, which is left as it was.

    The saved adapter stays in `folder`; without one it is thrown away. A start from data
    has the size of one without, for models that no data can be put through.
    """
    if folder is None:
        with tempfile.TemporaryDirectory() as temporary:
            kept = Path(temporary) / "adapter"
            return count(
                method, model, vocabulary, inputs, kept, start_from_data=start_from_data
            )
    base = BaseBytes.of(model)
    batch = seen = inputs.training_batch(vocabulary, model.device)
    if model.device.type == "meta":  # where the data, being small, has numbers all the same
        seen = inputs.training_batch(vocabulary, torch.device("cpu"))
    now = context(seen, inputs.precision)
    seed_everything(0)
    adapted = method.attach_for(model, now) if start_from_data else method.attach(model)
    if model.device.type == "meta":
        adapted.to("meta")  # a buffer that a method makes on the CPU would be copied often
    try:
        method.save(adapted, folder)
        parameters = trainable(adapted)
        in_place = base.trained_in_place(adapted)
        head = _head_parameters(model)
        ids = tokens(vocabulary, *inputs.inference, model.device)
        inference = flops.count(lambda: forward(adapted, ids))
        peak, step_flops = _training(method, adapted, batch, now, base.total, inputs)
    finally:
        model = method.detach(adapted)
    loaded = method.load(model, folder)
    try:
        serve = in_place.beside(loaded)
    finally:
        method.detach(loaded)
    return Counted(
        trainable_parameters=sum(p.numel() for p in parameters.values()),
        head_parameters=head,
        stored_bytes=stored_bytes(folder),
        serve_bytes=serve,
        forward_flops=inference,
        training_step_flops=step_flops,
        memory=peak,
    )


def forward_flops(
    method: Method, model: PreTrainedModel, vocabulary: int, inputs: Inputs
) -> Flops:
    """Of one inference input alone."""
    adapted = method.attach(model)
    try:
        ids = tokens(vocabulary, *inputs.inference, model.device)
        return flops.count(lambda: forward(adapted, ids))
    finally:
        method.detach(adapted)


def _training(
    method: Method,
    adapted: nn.Module,
    batch: Batch,
    now: RunContext,
    base_bytes: int,
    inputs: Inputs,
) -> tuple[Memory, Flops]:
    """Of a training step; of a forward pass over its input where nothing is trained."""
    if not trainable(adapted):
        look = partial(forward, adapted, batch.input_ids)
        return memory.peak_of_inference(adapted, look, base_bytes), Flops({})
    step = RepeatedStep.of(method, adapted, batch, now)
    with gradient_checkpointing(adapted, enabled=inputs.gradient_checkpointing):
        return memory.peak_of_training(step, base_bytes), flops.count(step)


def _head_parameters(model: PreTrainedModel) -> int:
    """Trained scalars of the output layer, unless they are the input embedding too."""
    head, embedding = model.get_output_embeddings(), model.get_input_embeddings()
    shared = {id(p) for p in embedding.parameters()} if embedding else set()
    found = head.parameters() if head else ()
    return sum(p.numel() for p in found if p.requires_grad and id(p) not in shared)
