"""What the methods made of bottleneck adapters have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from peftbench.methods._native.method import NativeMethod
from peftbench.methods._settings import one_of, whole
from peftbench.models import Shapes

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from peftbench.methods._native.bottleneck import Bottleneck
    from peftbench.methods._native.part import Part
    from peftbench.methods._native.places import Block

NON_LINEARITIES = ("relu", "gelu", "silu")


@dataclass(frozen=True, kw_only=True)
class BottleneckMethod(NativeMethod):
    """Bottleneck adapters in every block; the settings that all of them have."""

    bottleneck: int = whole(64, hint="try 8 to 256")
    non_linearity: str = one_of("relu", NON_LINEARITIES, called="non-linearities")

    family = "adapter"
    identity_at_start = True  # because U is zero
    mergeable = False  # because of the non-linearity
    budget_knob = "bottleneck"
    adapters_per_block: ClassVar[int] = 1

    def trainable_parameters(self, shapes: Shapes) -> int:
        """``2 * hidden * bottleneck + bottleneck + hidden`` for each adapter."""
        hidden = shapes.hidden_size
        one = 2 * hidden * self.bottleneck + self.bottleneck + hidden
        return one * self.adapters_per_block * shapes.num_layers

    def parts(self, model: PreTrainedModel, found: Mapping[str, Any]) -> Mapping[str, Part]:
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
