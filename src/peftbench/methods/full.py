"""Full fine-tuning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from peftbench.methods._method import Family, Method

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PreTrainedModel

    from peftbench.models._shapes import Shapes

_ORIGINAL = "_peftbench_original_weights"


@dataclass(frozen=True, kw_only=True)
class Full(Method):
    """Full fine-tuning: every weight of the base is trained, the ceiling of cost.

    Trains all parameters, tied ones counted once. The original weights are kept in the
    CPU's memory while it is attached, so that the base can be given back.
    """

    family: ClassVar[Family] = "baseline"
    paper: ClassVar[str] = "-"
    defaults_from: ClassVar[str] = "learning rate: Taori et al. (2023), Alpaca, 2e-5"
    identity_at_start: ClassVar[bool] = True
    mergeable: ClassVar[bool] = False
    training: ClassVar[Mapping[str, Any]] = {"learning_rate": 2e-5}

    def trainable_parameters(self, shapes: Shapes) -> int:
        """All of them."""
        return shapes.parameters

    def attach(self, model: PreTrainedModel) -> nn.Module:
        """See `Method.attach`."""
        original = {name: p.detach().cpu().clone() for name, p in model.named_parameters()}
        setattr(model, _ORIGINAL, original)
        return model.requires_grad_(True)

    def detach(self, adapted: nn.Module) -> PreTrainedModel:
        """See `Method.detach`."""
        _copy_into(adapted, getattr(adapted, _ORIGINAL))
        delattr(adapted, _ORIGINAL)
        adapted.zero_grad(set_to_none=True)
        return adapted.eval().requires_grad_(False)  # type: ignore[return-value]

    def save(self, adapted: nn.Module, folder: Path) -> None:
        """See `Method.save`. Named parameters are distinct: tied weights go out once."""
        from safetensors.torch import save_file

        folder.mkdir(parents=True, exist_ok=True)
        weights = {name: p.detach().contiguous() for name, p in adapted.named_parameters()}
        save_file(weights, folder / "model.safetensors")

    def load(self, model: PreTrainedModel, folder: Path) -> nn.Module:
        """See `Method.load`."""
        from safetensors.torch import load_file

        adapted = self.attach(model)
        _copy_into(adapted, load_file(folder / "model.safetensors"))
        return adapted.eval().requires_grad_(False)


def _copy_into(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    import torch

    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(weights[name])


METHOD = Full
