"""LoRA."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from peftbench.errors import InvalidSpec
from peftbench.methods._method import (
    Family,
    PeftMethod,
    check_positive,
    target_names,
    targeted,
)

if TYPE_CHECKING:
    from peft import PeftConfig
    from transformers import PreTrainedModel

    from peftbench.models._shapes import Shapes


@dataclass(frozen=True, kw_only=True)
class Lora(PeftMethod):
    """Low-rank update beside frozen linear layers (Hu et al., 2021, arXiv:2106.09685).

    Computes ``W x + (alpha / rank) * B A x`` with
    W: (d_out, d_in), frozen.  A: (rank, d_in), random.  B: (d_out, rank), zero.
    Adds ``rank * (d_in + d_out)`` trainable parameters per layer.
    """

    rank: int = 8
    alpha: float = 16
    dropout: float = 0.0
    target_modules: str | tuple[str, ...] = "all-linear"

    family: ClassVar[Family] = "reparameterised"
    paper: ClassVar[str] = "Hu et al., 2021, arXiv:2106.09685"
    defaults_from: ClassVar[str] = (
        "rank: the paper, section 7.2; all linear layers, alpha 16 and learning rate 2e-4: "
        "Dettmers et al., 2023, arXiv:2305.14314, section 4 and table 9"
    )
    identity_at_start: ClassVar[bool] = True  # because B is zero
    mergeable: ClassVar[bool] = True
    training: ClassVar[Mapping[str, Any]] = {"learning_rate": 2e-4}

    def __post_init__(self) -> None:
        check_positive("LoRA", rank=self.rank, alpha=self.alpha)
        if not isinstance(self.rank, int):
            raise InvalidSpec(f"LoRA needs a whole rank, got {self.rank!r}; try 4 to 64.")
        if not 0 <= self.dropout < 1:
            raise InvalidSpec(f"LoRA needs 0 <= dropout < 1, got {self.dropout!r}.")
        object.__setattr__(
            self, "target_modules", target_names("LoRA", self.target_modules)
        )

    def trainable_parameters(self, shapes: Shapes) -> int:
        """``rank * (d_in + d_out)``, summed over the adapted layers."""
        layers = targeted(shapes, self.target_modules, "LoRA")
        return sum(self.rank * (layer.d_in + layer.d_out) for layer in layers)

    def config(self, model: PreTrainedModel) -> PeftConfig:  # noqa: ARG002
        """See `PeftMethod.config`."""
        import peft

        targets = self.target_modules
        return peft.LoraConfig(
            task_type="CAUSAL_LM",
            r=self.rank,
            lora_alpha=self.alpha,
            lora_dropout=self.dropout,
            target_modules=targets if isinstance(targets, str) else list(targets),
        )


METHOD = Lora
