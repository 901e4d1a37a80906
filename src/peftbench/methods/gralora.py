"""GraLoRA: a weight is cut into blocks, each with a small LoRA of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from peftbench.errors import InvalidSpec
from peftbench.methods._linear import LinearMethod
from peftbench.methods._settings import whole
from peftbench.models import Linear, Shapes


@dataclass(frozen=True, kw_only=True)
class Gralora(LinearMethod):
    """Granular low-rank updates (Jung et al., 2025, arXiv:2505.20355).

    Cuts W: (d_out, d_in), frozen, into num_blocks * num_blocks parts, each with its own pair of
    factors of rank ``rank / num_blocks``: the update has rank up to ``rank * num_blocks`` at
    the cost of LoRA's. Computes ``W x + alpha / rank * (block updates) x``; the second factors
    start at zero.
    Trains ``rank * (d_in + d_out)`` parameters per layer.
    """

    rank: int = whole(32, peft="r", hint="try 16 to 128")
    alpha: int = whole(64, peft="alpha", hint="twice the rank is common")
    num_blocks: int = whole(2, peft="gralora_k", hint="try 2 or 4")

    title = "GraLoRA"
    tuner = "GraloraConfig"
    family = "reparameterised"
    paper = "Jung et al., 2025, arXiv:2505.20355"
    defaults_from = "peft: rank 32, alpha 64, 2 by 2 blocks"
    identity_at_start = True
    mergeable = True
    budget_knob = "rank"
    #: huggingface/peft, method_comparison/MetaMathQA, gralora on Llama-3.2-3B; Jung et al.
    #: too.
    training = {"learning_rate": 2e-4}

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rank % self.num_blocks:
            raise InvalidSpec(
                f"GraLoRA shares its rank among {self.num_blocks} blocks, and {self.rank} does "
                f"not divide; choose a multiple of {self.num_blocks} as rank."
            )

    def layer_parameters(self, layer: Linear, shapes: Shapes) -> int:
        return self.rank * (layer.d_in + layer.d_out)

    def peft_fields(self, shapes: Shapes) -> dict[str, Any]:
        widths = [width for x in self.layers(shapes) for width in (x.d_in, x.d_out)]
        self.check_divides("num_blocks", self.num_blocks, widths)
        return super().peft_fields(shapes)


METHOD = Gralora
