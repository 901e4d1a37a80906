"""LN-Tuning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from peftbench.methods._method import Family, PeftMethod

if TYPE_CHECKING:
    from peft import PeftConfig
    from transformers import PreTrainedModel

    from peftbench.models._shapes import Shapes


@dataclass(frozen=True, kw_only=True)
class LnTuning(PeftMethod):
    """Training of the normalisation layers alone (Zhao et al., 2023, arXiv:2312.11420).

    ``g * x / rms(x)`` (and ``+ b`` in a LayerNorm), with g, b: (hidden,) trained from
    their pre-trained values. Trains the scalars of every normalisation layer: for a
    Llama ``(2 * layers + 1) * hidden``.
    """

    family: ClassVar[Family] = "selective"
    paper: ClassVar[str] = "Zhao et al., 2023, arXiv:2312.11420"
    defaults_from: ClassVar[str] = "all normalisation layers: the paper; rate 1e-3: ours"
    identity_at_start: ClassVar[bool] = True  # the layers start as they were
    mergeable: ClassVar[bool] = True
    training: ClassVar[Mapping[str, Any]] = {"learning_rate": 1e-3}

    def trainable_parameters(self, shapes: Shapes) -> int:
        """The scalars of all normalisation layers."""
        return sum(shapes.norms)

    def config(self, model: PreTrainedModel) -> PeftConfig:
        """See `PeftMethod.config`."""
        import peft

        norms = [
            name
            for name, module in model.named_modules()
            if type(module).__name__.endswith("Norm")
        ]
        return peft.LNTuningConfig(task_type="CAUSAL_LM", target_modules=norms)


METHOD = LnTuning
