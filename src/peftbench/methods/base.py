"""Zero-shot: the base model as it is, the row that every method has to beat."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, cast

from peftbench.errors import ModelError
from peftbench.methods._method import Family, Method

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel

    from peftbench.models._shapes import Shapes

_MARKER = "base.json"


@dataclass(frozen=True, kw_only=True)
class Base(Method):
    """The base model without any training (zero-shot; Brown et al., 2020,
    arXiv:2005.14165). Trains 0 parameters and stores none.
    """

    family: ClassVar[Family] = "baseline"
    placement: ClassVar[str] = "nowhere"
    paper: ClassVar[str] = "Brown et al., 2020, arXiv:2005.14165"
    defaults_from: ClassVar[str] = "no settings"
    identity_at_start: ClassVar[bool] = True
    mergeable: ClassVar[bool] = True  # there is nothing to fold in
    budget_knob: ClassVar[str | None] = None  # there is nothing to turn
    trains: ClassVar[bool] = False
    needs_backward_through_base: ClassVar[bool] = False

    def trainable_parameters(self, shapes: Shapes) -> int:  # noqa: ARG002
        """None."""
        return 0

    def attach(self, model: PreTrainedModel) -> nn.Module:
        """`model` itself, frozen."""
        from peftbench.methods._before import Before

        Before.remember(model)
        return cast("nn.Module", model.requires_grad_(False))

    def detach(self, adapted: nn.Module) -> PreTrainedModel:
        """See `Method.detach`."""
        from peftbench.methods._before import Before

        Before.take(adapted).restore(adapted)
        return cast("PreTrainedModel", adapted)

    def save(self, adapted: nn.Module, folder: Path) -> None:  # noqa: ARG002
        """Write a marker that says that there is nothing to load."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / _MARKER).write_text(json.dumps({"method": "base"}), "utf-8")

    def load(self, model: PreTrainedModel, folder: Path) -> nn.Module:
        """See `Method.load`."""
        if not (folder / _MARKER).is_file():
            raise ModelError(f"{folder} was not saved by the method `base`.")
        return self.attach(model).eval()

    def merge(self, adapted: nn.Module) -> PreTrainedModel:
        """See `Method.merge`."""
        return self.detach(adapted)


METHOD = Base
