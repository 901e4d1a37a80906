"""One run of a group: its model, optimiser, place in the data, and best state so far."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn.functional import cross_entropy

from peftbench.errors import Diverged, OutOfMemory
from peftbench.spec import Training
from peftbench.training.batches import Batch, micro_batches
from peftbench.training.encode import Encoded
from peftbench.training.logits import answer_logits
from peftbench.training.seeds import trainable


@dataclass(frozen=True)
class Look:
    """One look at the validation part."""

    step: int
    epoch: float
    train_loss: float
    score: float


@dataclass
class Progress:
    """All of a run's state that is not a tensor."""

    step: int = 0
    looks: list[Look] = field(default_factory=list)
    best_step: int | None = None
    best_score: float | None = None
    looks_without_gain: int = 0
    loss_sum: float = 0.0  # since the last look
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
        training: Training,
        examples: Sequence[Encoded],
        batches: Sequence[Sequence[int]],
        *,
        pad_id: int,
        higher_is_better: bool = True,
    ) -> None:
        self.model = model
        self.training = training
        self.examples = examples
        self.batches = batches
        self.pad_id = pad_id
        self.sign = 1.0 if higher_is_better else -1.0
        self.parameters = trainable(model)
        self.optimizer = torch.optim.AdamW(
            list(self.parameters.values()),
            lr=training.learning_rate,
            weight_decay=training.weight_decay,
        )
        self.best: dict[str, torch.Tensor] = {}
        size = training.micro_batch_size or training.batch_size
        self.progress = Progress(micro_batch_size=size)
        self.look_steps = {
            math.ceil(len(batches) * k / training.validations)
            for k in range(1, training.validations + 1)
        }

    @property
    def is_over(self) -> bool:
        """Whether all steps are done or patience has run out."""
        patience = self.training.patience
        return self.progress.step >= len(self.batches) or (
            patience is not None and self.progress.looks_without_gain >= patience
        )

    def step(self) -> None:
        """One optimiser step; raises `Diverged` or `OutOfMemory`."""
        rows = [self.examples[i] for i in self.batches[self.progress.step]]
        factor = learning_rate_factor(self.training, self.progress.step, len(self.batches))
        for group in self.optimizer.param_groups:
            group["lr"] = self.training.learning_rate * factor
        self.model.train()
        loss = self._gradients_within_memory(rows)
        limit = self.training.max_grad_norm or math.inf
        norm = torch.nn.utils.clip_grad_norm_(self.parameters.values(), limit)
        if not math.isfinite(loss) or not torch.isfinite(norm):
            raise Diverged(
                f"The loss became {loss} (gradient norm {norm:.3g}) at step "
                f"{self.progress.step + 1} of {len(self.batches)}. Try a lower learning "
                f"rate than {self.training.learning_rate:g}."
            )
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.progress.step += 1
        self.progress.loss_sum += loss
        self.progress.loss_steps += 1

    def gradients(self, rows: Sequence[Encoded], micro_batch_size: int) -> float:
        """Add the gradients of the mean loss per target token over all `rows`; returns
        that loss in nats. How the rows are cut into micro-batches changes nothing."""
        tokens = sum(len(row.completion) for row in rows)
        device = next(iter(self.parameters.values())).device
        total = 0.0
        for part in micro_batches(rows, micro_batch_size):
            batch = Batch.of(part, self.pad_id, device)
            with torch.autocast(
                device.type, torch.bfloat16, enabled=self.training.precision == "bfloat16"
            ):
                logits = answer_logits(self.model, batch.input_ids, batch.answers)
            loss = cross_entropy(logits.float(), batch.targets, reduction="sum") / tokens
            loss.backward()
            total += loss.item()
        return total

    def look(self, score: float) -> None:
        """Take a validation score in, and keep the state if it is the best so far. Of
        equal scores the later is kept: it has seen more data."""
        progress = self.progress
        gain = progress.best_score is None or self.sign * (score - progress.best_score) > 0
        if gain or score == progress.best_score:
            progress.best_score, progress.best_step = score, progress.step
            self.best = {name: p.detach().clone() for name, p in self.parameters.items()}
        progress.looks_without_gain = 0 if gain else progress.looks_without_gain + 1
        loss = progress.loss_sum / max(1, progress.loss_steps)
        epoch = progress.step * self.training.batch_size / len(self.examples)
        progress.looks.append(Look(progress.step, epoch, loss, score))
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
        for name, parameter in self.parameters.items():
            state = self.optimizer.state.get(parameter, {})
            tensors |= {f"optimizer.{key}.{name}": state[key] for key in state}
        tensors["random"] = torch.get_rng_state()
        if torch.cuda.is_available():
            tensors["random_cuda"] = torch.cuda.get_rng_state()
        contiguous = {name: tensor.contiguous().clone() for name, tensor in tensors.items()}
        save_file(contiguous, folder / "state.safetensors")
        (folder / "progress.json").write_text(json.dumps(asdict(self.progress)), "utf-8")

    @torch.no_grad()
    def load(self, folder: Path) -> None:
        """Go on exactly where `save` was called."""
        tensors = load_file(folder / "state.safetensors")
        raw: dict[str, Any] = json.loads((folder / "progress.json").read_text("utf-8"))
        looks = [Look(**look) for look in raw.pop("looks")]
        self.progress = Progress(looks=looks, **raw)
        self.progress.resumed += 1
        for name, parameter in self.parameters.items():
            parameter.copy_(tensors[f"now.{name}"])
            if f"best.{name}" in tensors:
                self.best[name] = tensors[f"best.{name}"].to(parameter.device)
            for key in ("step", "exp_avg", "exp_avg_sq"):
                if f"optimizer.{key}.{name}" in tensors:
                    value = tensors[f"optimizer.{key}.{name}"]
                    where = value if key == "step" else value.to(parameter.device)
                    self.optimizer.state[parameter][key] = where
        torch.set_rng_state(tensors["random"])
        if "random_cuda" in tensors and torch.cuda.is_available():
            torch.cuda.set_rng_state(tensors["random_cuda"])

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
            self.optimizer.zero_grad(set_to_none=True)
            torch.set_rng_state(random_state)
            if random_state_cuda is not None:
                torch.cuda.set_rng_state(random_state_cuda)
                torch.cuda.empty_cache()
