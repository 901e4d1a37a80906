"""Bytes: what a method writes to disk, and what must be in memory to serve it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import nn

from peftbench.cost.memory import held_bytes, tensors_of

#: What is loaded again; anything else in the folder is for people.
_SUFFIXES = (".safetensors", ".json")


def stored_bytes(folder: Path) -> int:
    """Bytes of a saved adapter's safetensors and JSON files."""
    return sum(
        path.stat().st_size for path in folder.rglob("*") if path.suffix in _SUFFIXES
    )


@dataclass(frozen=True)
class BaseBytes:
    """What the base model held before a method came."""

    total: int
    tensors: frozenset[int]  # ids of parameters and buffers

    @classmethod
    def of(cls, model: nn.Module) -> BaseBytes:
        """Weigh `model`, which has no method on it."""
        tensors = tensors_of(model)
        return cls(held_bytes(tensors), frozenset(id(tensor) for tensor in tensors))

    def trained_in_place(self, adapted: nn.Module) -> TrainedInPlace:
        """Which of the base's own weights the method on `adapted` trains."""
        own = [p for p in adapted.parameters() if p.requires_grad and id(p) in self.tensors]
        trained = {id(parameter) for parameter in own}
        return TrainedInPlace(copied=held_bytes(own), untouched=self.tensors - trained)


@dataclass(frozen=True)
class TrainedInPlace:
    """Of the base's weights, what a method trains and what it does not."""

    copied: int  # bytes, as they are trained, perhaps in another precision
    untouched: frozenset[int]

    def beside(self, loaded: nn.Module) -> int:
        """Bytes beside the base's own that serving a `loaded` adapter needs, unmerged.

        Base weights that the method trains or replaces count: another adapter on the same
        base needs them as they were.
        """
        found = tensors_of(loaded)
        untouched = held_bytes(tensor for tensor in found if id(tensor) in self.untouched)
        return self.copied + max(0, held_bytes(found) - self.copied - untouched)
