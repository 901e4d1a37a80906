"""BOFT: weights are rotated block by block, then rescaled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from peftbench.methods._linear import NOT_LINEAR, LinearMethod
from peftbench.methods._settings import whole
from peftbench.models import Linear, Shapes

if TYPE_CHECKING:
    from peft import PeftConfig
    from transformers import PreTrainedModel


@dataclass(frozen=True, kw_only=True)
class Boft(LinearMethod):
    """Outputs of rotated weights (Liu et al., 2023, arXiv:2311.06243).

    Computes ``s * (W R x) + b`` with W: (d_out, d_in), frozen, and R: (d_in, d_in), orthogonal:
    ``d_in / block_size`` blocks on its diagonal, each the Cayley transform of a skew-symmetric
    (block_size, block_size) matrix of which all entries are stored; s: (d_out,). R starts as
    the identity, s as one. With one butterfly factor, as `peft` runs it without a CUDA kernel
    of its own.
    Trains ``d_in * block_size + d_out`` parameters per layer.
    """

    block_size: int = whole(4, peft="boft_block_size", hint="try 4 or 8")

    title = "BOFT"
    tuner = "BOFTConfig"
    fixed = {"boft_n_butterfly_factor": 1}
    family = "reparameterised"
    paper = "Liu et al., 2023, arXiv:2311.06243"
    defaults_from = "peft: blocks of 4; the paper uses 4 to 8 with 2 to 4 butterfly factors"
    identity_at_start = True
    mergeable = True
    budget_knob = "block_size"
    unsupported = NOT_LINEAR
    #: huggingface/peft, method_comparison/MetaMathQA, boft on Llama-3.2-3B; Liu et al. use
    #: 3e-4 on DeBERTa.
    training = {"learning_rate": 1e-4}

    def layer_parameters(self, layer: Linear, shapes: Shapes) -> int:
        return layer.d_in * self.block_size + layer.d_out

    def peft_fields(self, shapes: Shapes) -> dict[str, Any]:
        self.check_divides(
            "block_size", self.block_size, [x.d_in for x in self.layers(shapes)]
        )
        return super().peft_fields(shapes)

    def _prepare(self, model: PreTrainedModel, config: PeftConfig) -> None:
        from peft.tuners.boft import layer

        # peft tries to compile its CUDA kernel for every layer anew until that succeeds,
        # and the kernel is of no use to one butterfly factor.
        layer._FBD_CUDA = layer._FBD_CUDA or False
        super()._prepare(model, config)


METHOD = Boft
