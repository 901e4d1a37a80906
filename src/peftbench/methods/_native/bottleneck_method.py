"""What the methods made of bottleneck adapters have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from peftbench.errors import InvalidSpec
from peftbench.methods._method import Family
from peftbench.methods._native.method import NativeMethod
from peftbench.methods._settings import check_whole

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from peftbench.methods._native.bottleneck import Bottleneck
    from peftbench.methods._native.part import Part
    from peftbench.methods._native.places import Block
    from peftbench.models._shapes import Shapes

_NON_LINEARITIES = ("relu", "gelu", "silu")


@dataclass(frozen=True, kw_only=True)
class BottleneckMethod(NativeMethod):
    """Bottleneck adapters in every block; the settings that all of them have."""

    bottleneck: int = 64
    non_linearity: str = "relu"

    family: ClassVar[Family] = "adapter"
    identity_at_start: ClassVar[bool] = True  # because U is zero
    mergeable: ClassVar[bool] = False  # because of the non-linearity
    budget_knob: ClassVar[str | None] = "bottleneck"
    adapters_per_block: ClassVar[int] = 1

    def __post_init__(self) -> None:
        name = type(self).__name__
        check_whole(name, "bottleneck", self.bottleneck, "try 8 to 256")
        check_non_linearity(name, self.non_linearity)

    def trainable_parameters(self, shapes: Shapes) -> int:
        """``2 * hidden * bottleneck + bottleneck + hidden`` for each adapter."""
        hidden = shapes.hidden_size
        one = 2 * hidden * self.bottleneck + self.bottleneck + hidden
        return one * self.adapters_per_block * shapes.num_layers

    def parts(self, model: PreTrainedModel, found: Mapping[str, Any]) -> Mapping[str, Part]:  # noqa: ARG002
        """See `NativeMethod.parts`."""
        from peftbench.methods._native.places import Places

        parts: dict[str, Part] = {}
        for block in Places.of(model).blocks:
            parts |= self.block_parts(block, model.config.hidden_size)
        return parts

    @abstractmethod
    def block_parts(self, block: Block, width: int) -> Mapping[str, Part]:
        """The adapters of one block."""

    def adapter(
        self, width: int, *, scale: float = 1.0, dropout: float = 0.0
    ) -> Bottleneck:
        """A new adapter of these settings."""
        from peftbench.methods._native.bottleneck import Bottleneck

        return Bottleneck(
            width,
            self.bottleneck,
            non_linearity=self.non_linearity,
            scale=scale,
            dropout=dropout,
        )


def check_non_linearity(method: str, value: object) -> None:
    """Refuse the name of a function that is not known."""
    if value not in _NON_LINEARITIES:
        raise InvalidSpec(
            f"{method} knows the non-linearities {', '.join(_NON_LINEARITIES)}, got {value!r}."
        )
