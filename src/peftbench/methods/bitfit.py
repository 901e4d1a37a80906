"""BitFit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from peftbench.methods._method import Family, PeftMethod, target_names, targeted

if TYPE_CHECKING:
    from pathlib import Path

    from peft import PeftConfig
    from torch import nn
    from transformers import PreTrainedModel

    from peftbench.models._shapes import Shapes


@dataclass(frozen=True, kw_only=True)
class BitFit(PeftMethod):
    """Training of biases alone (Ben Zaken et al., 2022, arXiv:2106.10199).

    ``W x + b + d`` with b the layer's own bias, if it has one, frozen, and
    d: (d_out,) trained from zero: the same function as training b itself, and the only
    one there is for models without biases, such as Llama. Adds ``d_out`` trainable
    parameters per layer.
    """

    target_modules: str | tuple[str, ...] = "all-linear"

    family: ClassVar[Family] = "selective"
    paper: ClassVar[str] = "Ben Zaken et al., 2022, arXiv:2106.10199"
    defaults_from: ClassVar[str] = (
        "all linear layers and learning rate 1e-3: the paper, section 4 and appendix"
    )
    identity_at_start: ClassVar[bool] = True  # because d is zero
    mergeable: ClassVar[bool] = True
    training: ClassVar[Mapping[str, Any]] = {"learning_rate": 1e-3}

    def __post_init__(self) -> None:
        object.__setattr__(
            self, "target_modules", target_names("BitFit", self.target_modules)
        )

    def trainable_parameters(self, shapes: Shapes) -> int:
        """``d_out``, summed over the adapted layers."""
        layers = targeted(shapes, self.target_modules, "BitFit")
        return sum(layer.d_out for layer in layers)

    def config(self, model: PreTrainedModel) -> PeftConfig:  # noqa: ARG002
        """See `PeftMethod.config`."""
        from peftbench.methods._bitfit_tuner import BitFitConfig

        targets = self.target_modules
        return BitFitConfig(
            task_type="CAUSAL_LM",
            target_modules=targets if isinstance(targets, str) else list(targets),
        )

    def load(self, model: PreTrainedModel, folder: Path) -> nn.Module:
        """See `Method.load`; `peft` must know the tuner before it can open the folder."""
        import peftbench.methods._bitfit_tuner  # noqa: F401 - registers itself

        return super().load(model, folder)


METHOD = BitFit
