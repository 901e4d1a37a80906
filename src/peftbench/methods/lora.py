"""LoRA: a low-rank update beside frozen linear layers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from peftbench.methods._method import Family, PeftMethod
from peftbench.methods._settings import ALL_LINEAR, check_whole, fraction, targeted, targets

if TYPE_CHECKING:
    from peft import PeftConfig
    from transformers import PreTrainedModel

    from peftbench.models._shapes import Shapes


@dataclass(frozen=True, kw_only=True)
class Lora(PeftMethod):
    """Low-rank update beside frozen linear layers (Hu et al., 2021, arXiv:2106.09685).

    Computes ``W x + (alpha / rank) * B A dropout(x)`` with
    W: (d_out, d_in), frozen.  A: (rank, d_in), random.  B: (d_out, rank), zero.
    Trains ``rank * (d_in + d_out)`` parameters per layer.
    """

    rank: int = 8
    alpha: int = 16
    dropout: float = 0.0
    target_modules: str | tuple[str, ...] = ALL_LINEAR

    family: ClassVar[Family] = "reparameterised"
    placement: ClassVar[str] = "linear layers of the blocks"
    paper: ClassVar[str] = "Hu et al., 2021, arXiv:2106.09685"
    defaults_from: ClassVar[str] = (
        "rank and alpha: Hu et al., RoBERTa large; all linear layers: Dettmers et al., 2023, "
        "arXiv:2305.14314, which finds them necessary to match full fine-tuning"
    )
    identity_at_start: ClassVar[bool] = True  # because B is zero
    mergeable: ClassVar[bool] = True
    budget_knob: ClassVar[str | None] = "rank"
    #: Hu et al. on GPT-2 and GPT-3, and Dettmers et al. on Llama 7B and 13B.
    training: ClassVar[Mapping[str, Any]] = {"learning_rate": 2e-4}

    def __post_init__(self) -> None:
        check_whole("LoRA", "rank", self.rank, "try 4 to 64")
        check_whole("LoRA", "alpha", self.alpha, "once or twice the rank is common")
        object.__setattr__(self, "dropout", fraction("LoRA", "dropout", self.dropout))
        object.__setattr__(self, "target_modules", targets("LoRA", self.target_modules))

    def trainable_parameters(self, shapes: Shapes) -> int:
        """``rank * (d_in + d_out)`` of every target."""
        layers = targeted("LoRA", shapes, self.target_modules)
        return sum(self.rank * (layer.d_in + layer.d_out) for layer in layers)

    def config(self, model: PreTrainedModel) -> PeftConfig:
        """See `PeftMethod.config`."""
        import peft

        from peftbench.models._shapes import Shapes

        targeted("LoRA", Shapes.of(model), self.target_modules)
        return peft.LoraConfig(
            task_type="CAUSAL_LM",
            r=self.rank,
            lora_alpha=self.alpha,
            lora_dropout=self.dropout,
            target_modules=(
                self.target_modules
                if isinstance(self.target_modules, str)
                else list(self.target_modules)
            ),
        )


METHOD = Lora
