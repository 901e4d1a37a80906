"""BD-LoRA: one of LoRA's factors is block-diagonal, so that devices need not talk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from peftbench.methods._method import Family
from peftbench.methods._settings import check_whole
from peftbench.methods.lora import Lora

if TYPE_CHECKING:
    from peftbench.models._shapes import Linear, Shapes

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

    num_blocks: int = 2

    title: ClassVar[str] = "BD-LoRA"
    family: ClassVar[Family] = "reparameterised"
    paper: ClassVar[str] = "BD-LoRA of huggingface/peft, 2025"
    defaults_from: ClassVar[str] = "ours: 2 blocks; the rest: those of `lora`"
    identity_at_start: ClassVar[bool] = True
    mergeable: ClassVar[bool] = True
    budget_knob: ClassVar[str | None] = "rank"
    unsupported: ClassVar[Mapping[str, str]] = {
        "gpt2": "its layers are transformers' Conv1D, which have no widths that peft can block"
    }
    #: That of `lora`.
    training: ClassVar[Mapping[str, Any]] = {"learning_rate": 2e-4}

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole(self.title, "num_blocks", self.num_blocks, "the number of devices")

    def layer_parameters(self, layer: Linear, shapes: Shapes) -> int:  # noqa: ARG002
        """See the class."""
        if layer.leaf in _BACK_TO_HIDDEN:
            return self.rank * (layer.d_in // self.num_blocks + layer.d_out)
        return self.rank * (layer.d_in + layer.d_out // self.num_blocks)

    def check(self, shapes: Shapes) -> None:
        """See `LinearMethod.check`."""
        super().settings(shapes)
        layers = self.layers(shapes)
        widths = [x.d_in if x.leaf in _BACK_TO_HIDDEN else x.d_out for x in layers]
        self.check_divides("num_blocks", self.num_blocks, [self.rank, *widths])

    def settings(self, shapes: Shapes) -> dict[str, Any]:
        """See `Lora.settings`."""
        from peft.tuners.lora.config import BdLoraConfig

        self.check(shapes)
        layers = self.layers(shapes)
        blocks = BdLoraConfig(
            target_modules_bd_a=[x.name for x in layers if x.leaf in _BACK_TO_HIDDEN],
            target_modules_bd_b=[x.name for x in layers if x.leaf not in _BACK_TO_HIDDEN],
            nblocks=self.num_blocks,
        )
        return super().settings(shapes) | {"use_bdlora": blocks}


METHOD = BdLora
