"""One run of a group: its model, optimiser, place in the data, and best state so far."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter
from safetensors.torch import load_file, save_file
from torch import nn

from peftbench.encoding.batches import Batch, micro_batches
from peftbench.encoding.encode import Encoded
from peftbench.errors import Diverged, OutOfMemory
from peftbench.methods import Hook
from peftbench.spec import Training
from peftbench.training import optimizer_state
from peftbench.training.data import TrainingData
from peftbench.training.step import TrainingStep
from peftbench.training.validation import Validation, fell_behind


@dataclass
class Progress:
    """All of a run's state that is not a tensor."""

    step: int = 0
    validations: list[Validation] = field(default_factory=list)
    best_step: int | None = None
    best_score: float | None = None
    validations_without_gain: int = 0
    loss_sum: float = 0.0  # since the last validation
    loss_steps: int = 0
    micro_batch_size: int = 0
    resumed: int = 0


def learning_rate_factor(training: Training, step: int, steps: int) -> float:
    """The learning rate of a step (from 0) as a share of its peak.

    >>> t = Training(scheduler="linear", warmup_fraction=0.5)
    >>> [learning_rate_factor(t, step, 4) for step in range(4)]
    [0.5, 1.0, 1.0, 0.5]
    """
    warmup = round(training.warmup_fraction * steps)
    if step < warmup:
        return (step + 1) / warmup
    left = 1 - (step - warmup) / max(1, steps - warmup)
    if training.scheduler == "cosine":
        return 0.5 * (1 - math.cos(math.pi * left))
    return left if training.scheduler == "linear" else 1.0


class Run:
    """One member of a group of runs that share model, task and method."""

    def __init__(
        self,
        model: nn.Module,
        data: TrainingData,
        *,
        higher_is_better: bool = True,
        hook: Hook | None = None,
        stop_below: Sequence[float | None] = (),
    ) -> None:
        self.model = model
        self.stop_below = stop_below
        self.training = training = data.training
        self.examples = data.examples
        self.batches = batches = data.batches
        self.pad_id = data.pad_id
        self.sign = 1.0 if higher_is_better else -1.0
        self.training_step = step = TrainingStep(model, training, hook)
        self.hook, self.parameters, self.optimizer = (
            step.hook,
            step.parameters,
            step.optimizer,
        )
        self.best: dict[str, torch.Tensor] = {}
        size = training.micro_batch_size or training.batch_size
        self.progress = Progress(micro_batch_size=size)
        self.validation_steps = {
            math.ceil(len(batches) * k / training.validations)
            for k in range(1, training.validations + 1)
        }

    @property
    def is_over(self) -> bool:
        """Whether all steps are done, patience has run out, or it is not worth going on."""
        patience = self.training.patience
        return (
            self.progress.step >= len(self.batches)
            or (patience is not None and self.progress.validations_without_gain >= patience)
            or self.is_pruned
        )

    @property
    def is_pruned(self) -> bool:
        """Whether the best score so far was once below what `stop_below` asks."""
        seen, higher = self.progress.validations, self.sign > 0
        return fell_behind(seen, self.stop_below, higher=higher) is not None

    def step(self) -> None:
        """One optimiser step; raises `Diverged` or `OutOfMemory`."""
        progress = self.progress
        rows = [self.examples[i] for i in self.batches[progress.step]]
        loss = self.training_step.take(
            progress.step,
            lambda: self._gradients_within_memory(rows),
            rate_factor=learning_rate_factor(
                self.training, progress.step, len(self.batches)
            ),
            check=self._check,
        )
        progress.step += 1
        progress.loss_sum += loss
        progress.loss_steps += 1

    def gradients(self, rows: Sequence[Encoded], micro_batch_size: int) -> float:
        """`TrainingStep.gradients` of `rows`; returns their mean loss per target token."""
        device = next(iter(self.parameters.values())).device
        parts = micro_batches(rows, micro_batch_size)
        batches = [Batch.of(part, self.pad_id, device) for part in parts]
        return sum(loss.item() for loss in self.training_step.gradients(batches))

    def note_validation(self, score: float) -> None:
        """Take a validation score in, and keep the state if it is the best so far. Of
        equal scores the later is kept: it has seen more data."""
        progress = self.progress
        gain = progress.best_score is None or self.sign * (score - progress.best_score) > 0
        if gain or score == progress.best_score:
            progress.best_score, progress.best_step = score, progress.step
            self.best = {name: p.detach().clone() for name, p in self.parameters.items()}
        progress.validations_without_gain = (
            0 if gain else progress.validations_without_gain + 1
        )
        validation = Validation(
            step=progress.step,
            epoch=progress.step * self.training.batch_size / len(self.examples),
            train_loss=progress.loss_sum / max(1, progress.loss_steps),
            score=score,
        )
        progress.validations.append(validation)
        progress.loss_sum, progress.loss_steps = 0.0, 0

    @torch.no_grad()
    def restore_best(self) -> None:
        """Put the best state into the model."""
        for name, tensor in self.best.items():
            self.parameters[name].copy_(tensor)
        self.model.eval()

    def save(self, folder: Path) -> None:
        """Write all that the rest of the run depends on, random numbers included."""
        tensors = {f"now.{name}": p.detach() for name, p in self.parameters.items()}
        tensors |= {f"best.{name}": tensor for name, tensor in self.best.items()}
        moments, values = optimizer_state.pack(self.optimizer, self.parameters)
        tensors |= {f"optimizer.{name}": tensor for name, tensor in moments.items()}
        tensors |= {f"hook.{name}": tensor for name, tensor in self.hook.state().items()}
        tensors["random"] = torch.get_rng_state()
        if torch.cuda.is_available():
            tensors["random_cuda"] = torch.cuda.get_rng_state()
        contiguous = {name: tensor.contiguous().clone() for name, tensor in tensors.items()}
        save_file(contiguous, folder / "state.safetensors")
        progress = TypeAdapter(Progress).dump_json(self.progress, indent=1)
        (folder / "progress.json").write_bytes(progress)
        (folder / "optimizer.json").write_text(json.dumps(values), "utf-8")

    @torch.no_grad()
    def load(self, folder: Path) -> None:
        """Go on exactly where `save` was called."""
        tensors = load_file(folder / "state.safetensors")
        progress = (folder / "progress.json").read_bytes()
        values: dict[str, Any] = json.loads((folder / "optimizer.json").read_text("utf-8"))
        self.progress = TypeAdapter(Progress).validate_json(progress)
        self.progress.resumed += 1
        for name, parameter in self.parameters.items():
            parameter.copy_(tensors[f"now.{name}"])
            if f"best.{name}" in tensors:
                self.best[name] = tensors[f"best.{name}"].to(parameter.device)
        moments = _under("optimizer.", tensors)
        optimizer_state.unpack(self.optimizer, self.parameters, moments, values)
        self.hook.load_state(_under("hook.", tensors))
        torch.set_rng_state(tensors["random"])
        if "random_cuda" in tensors and torch.cuda.is_available():
            torch.cuda.set_rng_state(tensors["random_cuda"])

    def _check(self, loss: float, norm: torch.Tensor) -> None:
        if not math.isfinite(loss) or not torch.isfinite(norm):
            raise Diverged(
                f"The loss became {loss} (gradient norm {norm:.3g}) at step "
                f"{self.progress.step + 1} of {len(self.batches)}. Try a lower learning "
                f"rate than {self.training.learning_rate:g}."
            )

    def _gradients_within_memory(self, rows: Sequence[Encoded]) -> float:
        """Halve the micro-batch until the step fits; its gradients stay the same."""
        on_gpu = torch.cuda.is_available()
        random_state = torch.get_rng_state()
        random_state_cuda = torch.cuda.get_rng_state() if on_gpu else None
        while True:
            try:
                return self.gradients(rows, self.progress.micro_batch_size)
            except (torch.OutOfMemoryError, MemoryError) as error:
                size = min(self.progress.micro_batch_size, len(rows)) // 2
                if size < 1:
                    raise OutOfMemory(
                        f"One example of {len(rows[0])} tokens does not fit into memory "
                        f"({error}). Lower training.max_length, or use a smaller model or "
                        "dtype."
                    ) from error
            self.progress.micro_batch_size = size
            self.training_step.clear_gradients()
            torch.set_rng_state(random_state)
            if random_state_cuda is not None:
                torch.cuda.set_rng_state(random_state_cuda)
                torch.cuda.empty_cache()


def _under(prefix: str, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tensors whose names start with `prefix`, by the rest of their names."""
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }
