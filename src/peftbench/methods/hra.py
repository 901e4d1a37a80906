"""HRA: weights are reflected a few times, by trained Householder vectors."""

from __future__ import annotations

from dataclasses import dataclass

from peftbench.errors import InvalidSpec
from peftbench.methods._linear import NOT_LINEAR, LinearMethod
from peftbench.methods._settings import whole
from peftbench.models import Linear, Shapes


@dataclass(frozen=True, kw_only=True)
class Hra(LinearMethod):
    """Householder reflections (Yuan et al., 2024, arXiv:2405.17484).

    Computes ``W H_1 ... H_rank x`` with W: (d_out, d_in), frozen, and ``H_i = I - 2 u_i u_i^T``
    for unit vectors u_i of U: (d_in, rank). Vectors start in equal pairs, whose reflections
    cancel: rank is even.
    Trains ``rank * d_in`` parameters per layer.
    """

    rank: int = whole(8, peft="r", hint="try 4 to 32, even")

    title = "HRA"
    tuner = "HRAConfig"
    family = "reparameterised"
    paper = "Yuan et al., 2024, arXiv:2405.17484"
    defaults_from = "rank 8: Yuan et al. and peft; no orthogonalisation of the vectors"
    identity_at_start = True
    mergeable = True
    budget_knob = "rank"
    unsupported = NOT_LINEAR
    #: huggingface/peft, method_comparison/MetaMathQA, hra on Llama-3.2-3B.
    training = {"learning_rate": 1e-4}

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rank % 2:
            raise InvalidSpec(
                f"HRA starts with pairs of equal reflections, so rank must be even, got "
                f"{self.rank}; try {self.rank + 1}."
            )

    def layer_parameters(self, layer: Linear, shapes: Shapes) -> int:
        return self.rank * layer.d_in


METHOD = Hra
