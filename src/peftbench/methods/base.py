"""Zero-shot: the base model as it is, the row that every method has to beat."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from peftbench.errors import ModelError
from peftbench.methods._method import Method
from peftbench.models import Shapes

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel

_MARKER = "base.json"


@dataclass(frozen=True, kw_only=True)
class Base(Method):
    """The base model without any training (zero-shot; Brown et al., 2020,
    arXiv:2005.14165). Trains 0 parameters and stores none.
    """

    family = "baseline"
    placement = "nowhere"
    paper = "Brown et al., 2020, arXiv:2005.14165"
    defaults_from = "no settings"
    identity_at_start = True
    mergeable = True  # there is nothing to fold in
    budget_knob = None  # there is nothing to turn
    trains = False
    needs_backward_through_base = False

    def trainable_parameters(self, shapes: Shapes) -> int:
        """None."""
        return 0

    def attach(self, model: PreTrainedModel) -> nn.Module:
        """`model` itself, frozen."""
        from peftbench.methods._before import Before

        Before.remember(model)
        return cast("nn.Module", model.requires_grad_(False))

    def detach(self, adapted: nn.Module) -> PreTrainedModel:
        from peftbench.methods._before import Before

        Before.take(adapted).restore(adapted)
        return cast("PreTrainedModel", adapted)

    def save(self, adapted: nn.Module, folder: Path) -> None:
        """Write a marker that says that there is nothing to load."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / _MARKER).write_text(json.dumps({"method": "base"}), "utf-8")

    def load(self, model: PreTrainedModel, folder: Path) -> nn.Module:
        if not (folder / _MARKER).is_file():
            raise ModelError(f"{folder} was not saved by the method `base`.")
        return self.attach(model).eval()

    def merge(self, adapted: nn.Module) -> PreTrainedModel:
        return self.detach(adapted)


METHOD = Base
