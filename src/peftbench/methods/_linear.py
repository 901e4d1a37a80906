"""Methods of `peft` that adapt linear layers one by one: what their files share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from math import gcd
from typing import Any

from peftbench.errors import InvalidSpec
from peftbench.methods._method import PeftMethod
from peftbench.methods._settings import linear_layers, targeted
from peftbench.models import Linear, Shapes

#: Model types whose layers are not `nn.Linear`, for methods whose tuner takes nothing else.
NOT_LINEAR: Mapping[str, str] = {
    "gpt2": "its layers are transformers' Conv1D, and peft's tuner takes only nn.Linear"
}


@dataclass(frozen=True, kw_only=True)
class LinearMethod(PeftMethod):
    """A method that puts a small module on every targeted linear layer.

    Linear layers are those of attention and of dense feed-forward networks; a mixture's experts
    and its router are not. Beside its configuration, a file states what one layer trains
    (`layer_parameters`); where layers share parameters, it states `trainable_parameters`
    instead. A setting whose common value cannot fit a small model is made to fit; its file
    says how.
    """

    target_modules: str | tuple[str, ...] = linear_layers()

    placement = "linear layers of the blocks"

    def layers(self, shapes: Shapes) -> tuple[Linear, ...]:
        """The layers that it adapts; raises `InvalidSpec` where a name is nobody's."""
        return targeted(self.title, shapes, self.target_modules)

    @abstractmethod
    def layer_parameters(self, layer: Linear, shapes: Shapes) -> int:
        """Trained scalars of one layer."""

    def trainable_parameters(self, shapes: Shapes) -> int:
        """The sum over all targets; raises `InvalidSpec` where a setting does not fit."""
        self.check(shapes)
        return sum(self.layer_parameters(layer, shapes) for layer in self.layers(shapes))

    def check(self, shapes: Shapes) -> None:
        """Raises `InvalidSpec` where a setting does not fit these shapes; without `peft`."""
        self.peft_fields(shapes)

    def peft_fields(self, shapes: Shapes) -> dict[str, Any]:
        """The targets too. Where a model has experts, "all-linear" is spelled out: `peft` means
        experts and router by it, which are no linear layers; they stay frozen."""
        found = self.layers(shapes)
        names = self.target_modules
        if isinstance(names, str) and shapes.has_experts:
            names = tuple(dict.fromkeys(layer.leaf for layer in found))
        where = {"target_modules": names if isinstance(names, str) else list(names)}
        return where | super().peft_fields(shapes)

    def narrowest(self, shapes: Shapes) -> int:
        """The smallest width among the inputs and outputs of the targets."""
        return min(min(layer.d_in, layer.d_out) for layer in self.layers(shapes))

    def check_divides(self, setting: str, value: int, widths: list[int]) -> None:
        """Refuse a block size that does not divide the widths of the targets."""
        if any(width % value for width in widths):
            raise InvalidSpec(
                f"{self.title} needs {setting} to divide the widths of its layers, which are "
                f"{', '.join(map(str, sorted(set(widths))))} on this model, got {value}; "
                f"{largest_divisor(widths, value)} does."
            )


def largest_divisor(widths: list[int], limit: int) -> int:
    """The largest number up to `limit` that divides all `widths`.

    >>> largest_divisor([4096, 1024, 14336], 256), largest_divisor([32, 48], 256)
    (256, 16)
    """
    common = gcd(*widths)
    return max(size for size in range(1, min(common, limit) + 1) if common % size == 0)


def nearest_factors(width: int) -> tuple[int, int]:
    """`width` as a product of two numbers as near to each other as can be, smaller first.

    >>> nearest_factors(4096), nearest_factors(48), nearest_factors(127)
    ((64, 64), (6, 8), (1, 127))
    """
    small = max(size for size in range(1, int(width**0.5) + 1) if width % size == 0)
    return small, width // small
