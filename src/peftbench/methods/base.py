"""Zero-shot: the base model as it is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from peftbench.methods._method import Family, Method

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel

    from peftbench.models._shapes import Shapes


@dataclass(frozen=True, kw_only=True)
class Base(Method):
    """The base model without any training (zero-shot), the floor of every comparison.

    Trains 0 parameters and stores nothing.
    """

    family: ClassVar[Family] = "baseline"
    paper: ClassVar[str] = "-"
    defaults_from: ClassVar[str] = "nothing to set"
    identity_at_start: ClassVar[bool] = True
    mergeable: ClassVar[bool] = False
    trains: ClassVar[bool] = False

    def trainable_parameters(self, shapes: Shapes) -> int:  # noqa: ARG002 - none, on any model
        """Zero."""
        return 0

    def attach(self, model: PreTrainedModel) -> nn.Module:
        """See `Method.attach`."""
        return model.requires_grad_(False)

    def detach(self, adapted: nn.Module) -> PreTrainedModel:
        """See `Method.detach`."""
        return adapted  # type: ignore[return-value]  # it is the model that was attached

    def save(self, adapted: nn.Module, folder: Path) -> None:
        """See `Method.save`."""

    def load(self, model: PreTrainedModel, folder: Path) -> nn.Module:  # noqa: ARG002
        """See `Method.load`."""
        return self.attach(model)


METHOD = Base
