"""BD-LoRA: one of LoRA's factors is block-diagonal, so that devices need not talk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from peftbench.methods._settings import whole
from peftbench.methods.lora import Lora
from peftbench.models import Linear, Shapes

#: Layers whose output is added to the hidden state, in the models that are tried.
_BACK_TO_HIDDEN = frozenset(
    {"o_proj", "down_proj", "out_proj", "dense", "fc2", "dense_4h_to_h", "c_proj"}
)


@dataclass(frozen=True, kw_only=True)
class BdLora(Lora):
    """Block-diagonal LoRA (the `use_bdlora` of huggingface/peft, 2025).

    Computes ``W x + (alpha / rank) * B A x`` with W: (d_out, d_in), frozen. Where a model is
    split over num_blocks devices, layers are split by their outputs, and B: (d_out, rank) is
    made of num_blocks blocks on its diagonal; the layers that lead back to the hidden state are
    split by their inputs, and there it is A: (rank, d_in).
    Trains ``rank * (d_in + d_out / num_blocks)`` parameters per layer, in the second kind
    ``rank * (d_in / num_blocks + d_out)``.
    """

    num_blocks: int = whole(2, hint="the number of devices")

    title = "BD-LoRA"
    paper = "BD-LoRA of huggingface/peft, 2025"
    defaults_from = "ours: 2 blocks; the rest: those of `lora`"
    identity_at_start = True
    mergeable = True
    unsupported = {
        "gpt2": "its layers are transformers' Conv1D, which have no widths that peft can block"
    }
    #: That of `lora`.
    training = {"learning_rate": 2e-4}

    def layer_parameters(self, layer: Linear, shapes: Shapes) -> int:
        if layer.leaf in _BACK_TO_HIDDEN:
            return self.rank * (layer.d_in // self.num_blocks + layer.d_out)
        return self.rank * (layer.d_in + layer.d_out // self.num_blocks)

    def check(self, shapes: Shapes) -> None:
        super().peft_fields(shapes)
        layers = self.layers(shapes)
        widths = [x.d_in if x.leaf in _BACK_TO_HIDDEN else x.d_out for x in layers]
        self.check_divides("num_blocks", self.num_blocks, [self.rank, *widths])

    def peft_fields(self, shapes: Shapes) -> dict[str, Any]:
        from peft.tuners.lora.config import BdLoraConfig

        self.check(shapes)
        layers = self.layers(shapes)
        blocks = BdLoraConfig(
            target_modules_bd_a=[x.name for x in layers if x.leaf in _BACK_TO_HIDDEN],
            target_modules_bd_b=[x.name for x in layers if x.leaf not in _BACK_TO_HIDDEN],
            nblocks=self.num_blocks,
        )
        return super().peft_fields(shapes) | {"use_bdlora": blocks}


METHOD = BdLora
