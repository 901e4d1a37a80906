"""Memory: the bytes of live tensors, storage by storage, and what they hold at the peak.

The resident size of a process says little about tensors, and CUDA's allocator statistics
do not exist on a CPU: live tensors read the same everywhere, also without data.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten
from torch.utils.weak import WeakIdKeyDictionary

from peftbench.cost.step import TrainingStep, state_tensors


@dataclass(frozen=True)
class MemoryPeak:
    """Bytes at the peak of a step; the parts add up to the total."""

    total: int
    weights: int  # of the base model, frozen
    adapter: int  # what the method added or trains
    gradients: int
    optimizer: int
    activations: int  # the rest: kept for the backward pass, buffers, temporaries
    allocated: int | None = None  # by CUDA's allocator; None on other devices
    reserved: int | None = None


class LiveBytes(TorchDispatchMode):
    """Follows every storage that operators make, and the peak of their bytes."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.live: int = 0
        self.peak: int = 0
        self._known: Any = WeakIdKeyDictionary()

    def follow(self, tensor: torch.Tensor) -> None:
        """Count a tensor's storage until it is freed."""
        if tensor.layout is not torch.strided:
            for part in _parts(tensor):
                self.follow(part)
            return
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


def held_bytes(tensors: Iterable[torch.Tensor]) -> int:
    """Bytes of the distinct storages behind some tensors."""
    sizes: dict[int, int] = {}
    for tensor in tensors:
        parts = [tensor] if tensor.layout is torch.strided else _parts(tensor)
        for part in parts:
            storage = part.untyped_storage()
            sizes[storage._cdata] = storage.nbytes()
    return sum(sizes.values())


def tensors_of(model: nn.Module) -> list[torch.Tensor]:
    """Parameters, with the scales of those in 4 bits, and buffers."""
    parameters = list(model.parameters())
    scales = [
        tensor
        for parameter in parameters
        for tensor in _scales(getattr(parameter, "quant_state", None))
    ]
    return [*parameters, *scales, *model.buffers()]


def _scales(state: Any) -> list[torch.Tensor]:
    """The tensors of a `QuantState` of bitsandbytes, and of the state of its scales."""
    if state is None:
        return []
    own = [value for value in vars(state).values() if isinstance(value, torch.Tensor)]
    return [*own, *_scales(state.state2)]


def peak_of_training(step: TrainingStep, base_bytes: int) -> MemoryPeak:
    """The peak of a training step. The first step makes the optimiser's state; the
    second is counted, with that state in place. `base_bytes`: of the base model alone."""
    adapted, optimizer = step.adapted, step.optimizer
    trained = held_bytes(p for p in adapted.parameters() if p.requires_grad)
    gradients = 0

    def weigh_gradients() -> None:
        nonlocal gradients
        found = [p.grad for p in adapted.parameters() if p.grad is not None]
        gradients = held_bytes(found)

    step()
    state = state_tensors(optimizer)
    step.before_optimizer, kept = weigh_gradients, step.before_optimizer
    try:
        live = _peak(step, [*tensors_of(adapted), *state])
    finally:
        step.before_optimizer = kept
    weights = min(held_bytes(tensors_of(adapted)) - trained, base_bytes)
    return _split(
        live,
        weights=weights,
        adapter=held_bytes(tensors_of(adapted)) - weights,
        gradients=gradients,
        optimizer=held_bytes(state),
        cuda=_cuda_peak(step) if step.batch.input_ids.is_cuda else (None, None),
    )


def peak_of_inference(
    adapted: nn.Module, look: Callable[[], None], base_bytes: int
) -> MemoryPeak:
    """The peak of a forward pass, where nothing is trained."""
    live = _peak(look, tensors_of(adapted))
    held = held_bytes(tensors_of(adapted))
    weights = min(held, base_bytes)
    on_cuda = next(adapted.parameters()).is_cuda
    return _split(
        live,
        weights=weights,
        adapter=held - weights,
        gradients=0,
        optimizer=0,
        cuda=_cuda_peak(look) if on_cuda else (None, None),
    )


def _peak(work: Callable[[], None], already: Iterable[torch.Tensor]) -> int:
    with LiveBytes() as live:
        for tensor in already:
            live.follow(tensor)
        work()
    peak: int = live.peak
    return peak


def _split(
    total: int,
    *,
    weights: int,
    adapter: int,
    gradients: int,
    optimizer: int,
    cuda: tuple[int | None, int | None],
) -> MemoryPeak:
    rest = total - weights - adapter - gradients - optimizer
    return MemoryPeak(
        total=total,
        weights=weights,
        adapter=adapter,
        gradients=gradients,
        optimizer=optimizer,
        activations=max(0, rest),
        allocated=cuda[0],
        reserved=cuda[1],
    )


def _cuda_peak(work: Callable[[], None]) -> tuple[int, int]:
    """What CUDA's allocator gave out, and what it took from the device, at the peak."""
    torch.cuda.synchronize()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    work()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated(), torch.cuda.max_memory_reserved()


def _parts(tensor: torch.Tensor) -> list[torch.Tensor]:
    """The strided tensors that a sparse one is made of."""
    if tensor.layout is torch.sparse_coo:
        return [tensor._indices(), tensor._values()]
    if tensor.layout in (torch.sparse_csr, torch.sparse_bsr):
        return [tensor.crow_indices(), tensor.col_indices(), tensor.values()]
    return []
