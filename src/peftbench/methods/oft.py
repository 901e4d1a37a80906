"""OFT: the input of frozen weights is rotated block by block."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from peftbench.methods._linear import NOT_LINEAR, LinearMethod, largest_divisor
from peftbench.methods._settings import whole
from peftbench.models import Linear, Shapes


@dataclass(frozen=True, kw_only=True)
class Oft(LinearMethod):
    """Rotated weights (Qiu et al., 2023, arXiv:2306.07280).

    Computes ``W R x + b`` with W: (d_out, d_in), frozen, and R: (d_in, d_in), orthogonal, made
    of ``d_in / block_size`` blocks on its diagonal. Each block is the Cayley transform of a
    skew-symmetric matrix, with its inverse as a Neumann series of five terms (Qiu et al., 2025,
    arXiv:2506.19847); the skew-symmetric matrices start at zero.
    Trains ``d_in / block_size * block_size * (block_size - 1) / 2`` parameters per layer. Where
    block_size does not divide the inputs of all targets, the next smaller size that does.
    """

    block_size: int = whole(32, hint="try 16 to 64")

    title = "OFT"
    tuner = "OFTConfig"
    fixed = {"r": 0}
    family = "reparameterised"
    paper = "Qiu et al., 2023, arXiv:2306.07280"
    defaults_from = "peft: blocks of 32, Cayley-Neumann parametrisation"
    identity_at_start = True
    mergeable = True
    budget_knob = "block_size"
    unsupported = NOT_LINEAR
    #: huggingface/peft, method_comparison/MetaMathQA, oft on Llama-3.2-3B.
    training = {"learning_rate": 1e-4}

    def layer_parameters(self, layer: Linear, shapes: Shapes) -> int:
        size = self.fitting_size(shapes)
        return layer.d_in * (size - 1) // 2

    def peft_fields(self, shapes: Shapes) -> dict[str, Any]:
        return super().peft_fields(shapes) | {"oft_block_size": self.fitting_size(shapes)}

    def fitting_size(self, shapes: Shapes) -> int:
        """The block size that divides all inputs."""
        return largest_divisor(
            [layer.d_in for layer in self.layers(shapes)], self.block_size
        )


METHOD = Oft
