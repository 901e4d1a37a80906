"""GraLoRA: a weight is cut into blocks, each with a small LoRA of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from peftbench.errors import InvalidSpec
from peftbench.methods._linear import LinearMethod
from peftbench.methods._method import Family
from peftbench.methods._settings import check_whole

if TYPE_CHECKING:
    from peftbench.models._shapes import Linear, Shapes


@dataclass(frozen=True, kw_only=True)
class Gralora(LinearMethod):
    """Granular low-rank updates (Jung et al., 2025, arXiv:2505.20355).

    Cuts W: (d_out, d_in), frozen, into num_blocks * num_blocks parts, each with its own pair of
    factors of rank ``rank / num_blocks``: the update has rank up to ``rank * num_blocks`` at
    the cost of LoRA's. Computes ``W x + alpha / rank * (block updates) x``; the second factors
    start at zero.
    Trains ``rank * (d_in + d_out)`` parameters per layer.
    """

    rank: int = 32
    alpha: int = 64
    num_blocks: int = 2

    title: ClassVar[str] = "GraLoRA"
    tuner: ClassVar[str] = "GraloraConfig"
    family: ClassVar[Family] = "reparameterised"
    paper: ClassVar[str] = "Jung et al., 2025, arXiv:2505.20355"
    defaults_from: ClassVar[str] = "peft: rank 32, alpha 64, 2 by 2 blocks"
    identity_at_start: ClassVar[bool] = True
    mergeable: ClassVar[bool] = True
    budget_knob: ClassVar[str | None] = "rank"
    #: huggingface/peft, method_comparison/MetaMathQA, gralora on Llama-3.2-3B; Jung et al.
    #: too.
    training: ClassVar[Mapping[str, Any]] = {"learning_rate": 2e-4}

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole(self.title, "rank", self.rank, "try 16 to 128")
        check_whole(self.title, "alpha", self.alpha, "twice the rank is common")
        check_whole(self.title, "num_blocks", self.num_blocks, "try 2 or 4")
        if self.rank % self.num_blocks:
            raise InvalidSpec(
                f"GraLoRA shares its rank among {self.num_blocks} blocks, and {self.rank} does "
                f"not divide; choose a multiple of {self.num_blocks} as rank."
            )

    def layer_parameters(self, layer: Linear, shapes: Shapes) -> int:  # noqa: ARG002
        """See the class."""
        return self.rank * (layer.d_in + layer.d_out)

    def settings(self, shapes: Shapes) -> dict[str, Any]:
        """See `LinearMethod.settings`."""
        widths = [width for x in self.layers(shapes) for width in (x.d_in, x.d_out)]
        self.check_divides("num_blocks", self.num_blocks, widths)
        return {"r": self.rank, "alpha": self.alpha, "gralora_k": self.num_blocks}


METHOD = Gralora
