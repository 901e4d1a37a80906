"""LoRA: a low-rank update beside frozen linear layers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from peftbench.methods._linear import LinearMethod
from peftbench.methods._method import Family
from peftbench.methods._settings import ALL_LINEAR, check_whole, fraction

if TYPE_CHECKING:
    from peftbench.models._shapes import Linear, Shapes


@dataclass(frozen=True, kw_only=True)
class Lora(LinearMethod):
    """Low-rank update beside frozen linear layers (Hu et al., 2021, arXiv:2106.09685).

    Computes ``W x + (alpha / rank) * B A dropout(x)`` with
    W: (d_out, d_in), frozen.  A: (rank, d_in), random.  B: (d_out, rank), zero.
    Trains ``rank * (d_in + d_out)`` parameters per layer.
    """

    rank: int = 8
    alpha: int = 16
    dropout: float = 0.0
    target_modules: str | tuple[str, ...] = ALL_LINEAR

    title: ClassVar[str] = "LoRA"
    tuner: ClassVar[str] = "LoraConfig"
    family: ClassVar[Family] = "reparameterised"
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
        super().__post_init__()
        check_whole(self.title, "rank", self.rank, "try 4 to 64")
        check_whole(self.title, "alpha", self.alpha, "once or twice the rank is common")
        object.__setattr__(self, "dropout", fraction(self.title, "dropout", self.dropout))

    def layer_parameters(self, layer: Linear, shapes: Shapes) -> int:  # noqa: ARG002
        """``rank * (d_in + d_out)``."""
        return self.rank * (layer.d_in + layer.d_out)

    def settings(self, shapes: Shapes) -> dict[str, Any]:  # noqa: ARG002
        """See `LinearMethod.settings`."""
        return {"r": self.rank, "lora_alpha": self.alpha, "lora_dropout": self.dropout}


METHOD = Lora
