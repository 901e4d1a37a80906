"""A short, exclusive probe of one method on one model: parameters, FLOPs, memory, time.

Nothing else may run meanwhile. Inputs are fixed, so methods differ by nothing but
themselves. FLOPs are counted by PyTorch operator by operator (a multiplication and an
addition are two); memory is that of live tensors, so it is the same on every machine.
"""

from __future__ import annotations

import itertools
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten
from torch.utils.flop_counter import (
    FlopCounterMode,
    sdpa_backward_flop_count,
    sdpa_flop_count,
)
from torch.utils.weak import WeakIdKeyDictionary

from peftbench.methods import Hook, Method, Occasion
from peftbench.models._load import BaseModel
from peftbench.spec import Training
from peftbench.training.batches import Batch
from peftbench.training.seeds import seed_everything, trainable

#: What the method is told of the length of its run.
_STEPS = 1000


@dataclass(frozen=True)
class Measured:
    """What the meter read; bytes and seconds."""

    trainable_parameters: int
    stored_bytes: int
    forward_flops: int
    training_step_flops: int
    memory: dict[str, int]
    step_seconds: float | None  # None where nothing is trained
    step_seconds_spread: float | None


def measure(
    base: BaseModel,
    method: Method,
    *,
    inference: tuple[int, int],
    training: tuple[int, int],
    repeats: int,
) -> Measured:
    """Probe `method` on `base`, which is left as it was. Inputs are (batch, length)."""
    batch = _batch(base, *training)
    # Far from the end of a run, with a step too small to change what is measured.
    occasion = Occasion(_STEPS, Training(learning_rate=1e-9), lambda: iter([batch]))
    seed_everything(0)
    adapted = method.attach_for(base.model, occasion)
    try:
        stored = _stored_bytes(method, adapted)
        parameters = trainable(adapted)
        adapted.eval()
        with torch.no_grad():
            forward = _flops(lambda: adapted(input_ids=_tokens(base, *inference)))
        if parameters:
            hook = method.hook(adapted, occasion) or Hook()
            optimizer = hook.optimizer(parameters, occasion.training)
            step = _stepper(adapted, batch, hook, optimizer, parameters)
            memory = _peak_memory(adapted, step, optimizer)
            step_flops = _flops(step)
            seconds = _timed(step, repeats)
        else:

            def look() -> None:
                with torch.no_grad():
                    adapted(input_ids=batch.input_ids)

            memory, step_flops, seconds = _peak_memory(adapted, look), 0, []
    finally:
        base.model = method.detach(adapted)
    return Measured(
        trainable_parameters=sum(p.numel() for p in parameters.values()),
        stored_bytes=stored,
        forward_flops=forward,
        training_step_flops=step_flops,
        memory=memory,
        step_seconds=statistics.median(seconds) if seconds else None,
        step_seconds_spread=_interquartile_range(seconds) if seconds else None,
    )


def _interquartile_range(values: list[float]) -> float:
    low, _, high = statistics.quantiles(values, n=4)
    return high - low


def _attention_flops(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    return int(sdpa_flop_count(query, key, value))


def _attention_backward_flops(
    grad: Any, query: Any, key: Any, value: Any, *_: Any, **__: Any
) -> int:
    return int(sdpa_backward_flop_count(grad, query, key, value))


#: PyTorch counts attention on a GPU, and misses the kernel that it uses on a CPU.
_CPU_ATTENTION = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention_flops,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: (
        _attention_backward_flops
    ),
}


def _tokens(base: BaseModel, batch: int, length: int) -> torch.Tensor:
    """Fixed token ids; what they are does not matter to the cost."""
    generator = torch.Generator().manual_seed(0)
    size = base.shapes.vocab_size
    return torch.randint(size, (batch, length), generator=generator).to(base.device)


def _batch(base: BaseModel, rows: int, length: int) -> Batch:
    """Fixed token ids, of which all but the first are answers."""
    ids = _tokens(base, rows, length)
    answers = torch.ones_like(ids, dtype=torch.bool)
    answers[:, -1] = False
    return Batch(ids, answers, ids[:, 1:].flatten())


def _stepper(
    adapted: nn.Module,
    batch: Batch,
    hook: Hook,
    optimizer: torch.optim.Optimizer,
    parameters: Mapping[str, nn.Parameter],
) -> Callable[[], None]:
    """One training step on `batch`, with all that the method does in it."""
    length = batch.input_ids.shape[1]
    steps = itertools.count()

    def step() -> None:
        adapted.train()
        hook.before_forward(batch)
        logits = adapted(input_ids=batch.input_ids, use_cache=False).logits[:, -length:]
        cross_entropy(logits[:, :-1].flatten(0, 1).float(), batch.targets).backward()
        if (penalty := hook.penalty()) is not None:
            penalty.backward()
        number = next(steps)
        hook.before_step(number)
        optimizer.step()
        hook.after_step(number)
        for parameter in parameters.values():
            parameter.grad = None

    return step


def _flops(work: Callable[[], Any]) -> int:
    with FlopCounterMode(display=False, custom_mapping=_CPU_ATTENTION) as counter:
        work()
    return int(counter.get_total_flops())


def _timed(work: Callable[[], None], repeats: int) -> list[float]:
    seconds = []
    for _ in range(max(2, repeats)):
        _synchronise()
        start = time.perf_counter()
        work()
        _synchronise()
        seconds.append(time.perf_counter() - start)
    return seconds


def _synchronise() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _stored_bytes(method: Method, adapted: nn.Module) -> int:
    with tempfile.TemporaryDirectory() as folder:
        method.save(adapted, Path(folder) / "adapter")
        files = Path(folder).rglob("*")
        return sum(f.stat().st_size for f in files if f.suffix in (".safetensors", ".json"))


class _LiveBytes(TorchDispatchMode):
    """Follows every storage that operators make, and the peak of their bytes.

    The resident size of a process says little about tensors, and CUDA's allocator
    statistics do not exist on a CPU: this counts the same everywhere.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.live = 0
        self.peak = 0
        self._known: Any = WeakIdKeyDictionary()

    def follow(self, tensor: torch.Tensor) -> None:
        """Count a tensor's storage until it is freed."""
        import weakref

        storage = tensor.untyped_storage()
        if storage in self._known:
            return
        size = storage.nbytes()
        self._known[storage] = size
        self.live += size
        self.peak = max(self.peak, self.live)
        weakref.finalize(storage, self._free, size)

    def _free(self, size: int) -> None:
        self.live -= size

    def __torch_dispatch__(
        self, function: Any, _types: Any, arguments: Any = (), keywords: Any = None
    ) -> Any:
        result = function(*arguments, **(keywords or {}))
        for leaf in tree_flatten(result)[0]:
            if isinstance(leaf, torch.Tensor):
                self.follow(leaf)
        return result


def _peak_memory(
    adapted: nn.Module,
    step: Callable[[], None],
    optimizer: torch.optim.Optimizer | None = None,
) -> dict[str, int]:
    """Bytes at the peak of a step. The first step makes the optimiser's state; the
    second is counted, with that state in place."""
    parameters = list(adapted.parameters())
    trained = sum(p.numel() * p.element_size() for p in parameters if p.requires_grad)
    frozen = sum(p.numel() * p.element_size() for p in parameters if not p.requires_grad)
    step()
    states = optimizer.state.values() if optimizer else ()
    state = [
        value
        for moments in states
        for value in moments.values()
        if isinstance(value, torch.Tensor)
    ]
    with _LiveBytes() as live:
        for tensor in [*parameters, *adapted.buffers(), *state]:
            live.follow(tensor)
        step()
    kept = sum(tensor.nbytes for tensor in state)  # AdamW's two moments, and step counts
    return {
        "total": live.peak,
        "weights": frozen,
        "adapter": trained,
        "gradients": trained,
        "optimizer": kept,
        "activations": max(0, live.peak - frozen - 2 * trained - kept),
    }
