"""Memory: the bytes of live tensors, storage by storage, and what they hold at the peak.

The resident size of a process says little about tensors, and CUDA's allocator statistics
do not exist on a CPU: live tensors read the same everywhere, also without data.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten
from torch.utils.weak import WeakIdKeyDictionary

from peftbench.cost.costs import Memory
from peftbench.cost.step import RepeatedStep


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


def peak_of_training(step: RepeatedStep, base_bytes: int) -> Memory:
    """The peak of a training step. The first step makes the optimiser's state; the
    second is counted, with that state in place. `base_bytes`: of the base model alone."""
    model, gradients = step.step.model, 0

    def weigh_gradients() -> None:
        nonlocal gradients
        gradients = held_bytes(p.grad for p in model.parameters() if p.grad is not None)

    step()
    state = state_tensors(step.step.optimizer)
    peak = _peak(model, partial(step, weigh_gradients), base_bytes, state)
    rest = max(0, peak.activations - gradients)
    return peak.model_copy(update={"gradients": gradients, "activations": rest})


def peak_of_inference(
    adapted: nn.Module, look: Callable[[], None], base_bytes: int
) -> Memory:
    """The peak of a forward pass, where nothing is trained."""
    return _peak(adapted, look, base_bytes)


def _peak(
    model: nn.Module,
    work: Callable[[], None],
    base_bytes: int,
    state: Sequence[torch.Tensor] = (),
) -> Memory:
    """The peak of `work`, gradients among the activations. `state`: the optimiser's."""
    trained = held_bytes(p for p in model.parameters() if p.requires_grad)
    with LiveBytes() as live:
        for tensor in (*tensors_of(model), *state):
            live.follow(tensor)
        work()
    held = held_bytes(tensors_of(model))
    weights, optimizer = min(held - trained, base_bytes), held_bytes(state)
    on_cuda = next(model.parameters()).is_cuda
    allocated, reserved = _cuda_peak(work) if on_cuda else (None, None)
    return Memory(
        total=live.peak,
        weights=weights,
        adapter=held - weights,
        gradients=0,
        optimizer=optimizer,
        activations=live.peak - held - optimizer,
        allocated=allocated,
        reserved=reserved,
    )


def _cuda_peak(work: Callable[[], None]) -> tuple[int, int]:
    """What CUDA's allocator gave out, and what it took from the device, at the peak."""
    torch.cuda.synchronize()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    work()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated(), torch.cuda.max_memory_reserved()


def state_tensors(optimizer: torch.optim.Optimizer) -> list[torch.Tensor]:
    """Every tensor that the optimiser keeps from step to step, however it is nested."""
    found: list[torch.Tensor] = []

    def look(value: Any, depth: int) -> None:
        if isinstance(value, torch.Tensor):
            found.append(value)
        elif isinstance(value, dict):
            for inner in value.values():
                look(inner, depth)
        elif isinstance(value, list | tuple):
            for inner in value:
                look(inner, depth)
        elif depth and hasattr(value, "__dict__"):  # such as a projector of gradients
            look(vars(value), depth - 1)

    look(list(optimizer.state.values()), 1)
    return found


def _parts(tensor: torch.Tensor) -> list[torch.Tensor]:
    """The strided tensors that a sparse one is made of."""
    if tensor.layout is torch.sparse_coo:
        return [tensor._indices(), tensor._values()]
    if tensor.layout in (torch.sparse_csr, torch.sparse_bsr):
        return [tensor.crow_indices(), tensor.col_indices(), tensor.values()]
    return []
