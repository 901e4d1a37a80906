"""Bytes: what a method writes to disk, and what must be in memory to serve it."""

from __future__ import annotations

from collections.abc import Mapping
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
    by_parameter: Mapping[int, int]  # id of the parameter: bytes

    @classmethod
    def of(cls, model: nn.Module) -> BaseBytes:
        """Weigh `model`, which has no method on it."""
        return cls(
            held_bytes(tensors_of(model)), {id(p): p.nbytes for p in model.parameters()}
        )

    def trained_in_place(self, adapted: nn.Module) -> TrainedInPlace:
        """Which of the base's own weights the method on `adapted` trains."""
        own = [p for p in adapted.parameters() if p.requires_grad]
        own = [p for p in own if id(p) in self.by_parameter]
        untouched = self.total - sum(self.by_parameter[id(p)] for p in own)
        return TrainedInPlace(copied=held_bytes(own), untouched=untouched)


@dataclass(frozen=True)
class TrainedInPlace:
    """Bytes of the base's weights that a method trains, and of those that it does not."""

    copied: int  # as they are trained, perhaps in another precision
    untouched: int

    def beside(self, loaded: nn.Module) -> int:
        """Bytes beside the base's own that serving a `loaded` adapter needs, unmerged.

        Base weights that the method trains count: a second adapter on the same base
        needs a copy of its own.
        """
        held = held_bytes(tensors_of(loaded))
        return self.copied + max(0, held - self.copied - self.untouched)
