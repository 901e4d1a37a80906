"""QLoRA: LoRA on a base whose linear layers are kept in 4 bits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from peftbench.methods._linear import NOT_LINEAR
from peftbench.methods.lora import Lora
from peftbench.models import Shapes

if TYPE_CHECKING:
    from peft import PeftConfig
    from torch import nn
    from transformers import PreTrainedModel

_LINEARS = "_peftbench_linears"  # where the base keeps its own layers meanwhile


@dataclass(frozen=True, kw_only=True)
class Qlora(Lora):
    """LoRA on a quantised base (Dettmers et al., 2023, arXiv:2305.14314).

    Computes ``dequantise(Q) x + (alpha / rank) * B A x`` with Q the targets' weights in 4-bit
    NormalFloat, blocks of 64, their scales quantised again; A: (rank, d_in), random,
    B: (d_out, rank), zero. Layers that are no targets keep their precision, and products are
    computed in it. The layers are those of bitsandbytes, on a GPU or a CPU; the base's own wait
    on the CPU until `detach`.
    Trains ``rank * (d_in + d_out)`` parameters per layer.
    """

    title = "QLoRA"
    paper = "Dettmers et al., 2023, arXiv:2305.14314"
    defaults_from = (
        "NormalFloat, double quantisation, all linear layers: Dettmers et al.; rank and alpha: "
        "those of `lora`"
    )
    identity_at_start = False  # the base is quantised
    mergeable = False  # 4 bits have no room for the update
    zeros_will_do = True
    unsupported = NOT_LINEAR
    #: Dettmers et al., Llama 7B and 13B.
    training = {"learning_rate": 2e-4}

    def base_bytes(self, shapes: Shapes, weight_bytes: int) -> int:
        """Half a byte for each weight of the targets, one for the scale of 64, and four for
        the scale of 256 scales."""
        targets = sum(layer.d_in * layer.d_out for layer in self.layers(shapes))
        kept = super().base_bytes(shapes, weight_bytes) - targets * weight_bytes
        return kept + int(targets * (1 / 2 + 1 / 64 + 4 / (64 * 256)))

    def _prepare(self, model: PreTrainedModel, config: PeftConfig) -> None:
        """Put 4-bit layers in the place of the targets."""
        own = {}
        for layer in self.layers(Shapes.of(model)):
            linear = cast("nn.Linear", model.get_submodule(layer.name))
            _set(model, layer.name, quantised(linear))
            own[layer.name] = linear if linear.weight.is_meta else linear.to("cpu")
        vars(model)[_LINEARS] = own
        vars(model)["is_loaded_in_4bit"] = True  # what peft asks a base for

    def _undo(self, model: PreTrainedModel) -> None:
        device = model.device
        for name, linear in vars(model).pop(_LINEARS, {}).items():
            _set(model, name, linear.to(device))


def quantised(linear: nn.Linear) -> nn.Module:
    """`linear`: (d_in) to (d_out) with its weight in 4 bits, its bias as it was."""
    import torch
    from bitsandbytes.functional import create_dynamic_map, name2qmap, quantize_4bit
    from bitsandbytes.nn.modules import Linear4bit, Params4bit

    # bitsandbytes makes this table where the first weight is, and keeps it for the process:
    # with a weight that has no numbers, no later one could be read.
    if "dynamic" not in name2qmap:
        with torch.device("cpu"):
            name2qmap["dynamic"] = create_dynamic_map()  # type: ignore[no-untyped-call]
    weight = linear.weight
    packed, state = quantize_4bit(
        weight.detach(), compress_statistics=True, quant_type="nf4"
    )
    layer = Linear4bit(  # type: ignore[no-untyped-call]
        linear.in_features,
        linear.out_features,
        bias=linear.bias is not None,
        compute_dtype=weight.dtype,
        compress_statistics=True,
        quant_type="nf4",
        device="meta",
    )
    layer.weight = Params4bit(
        packed,
        requires_grad=False,
        quant_state=state,
        quant_type="nf4",
        compress_statistics=True,
        bnb_quantized=True,
        module=layer,
    )
    layer.quant_state = state
    # Where a CPU has these instructions, bitsandbytes packs the weights anew in evaluation and
    # computes in bfloat16: other numbers than in training and on other CPUs, and a crash where
    # a layer is narrower than a block of 64.
    layer.support_avx512bf16_for_cpu = False
    if linear.bias is not None:
        layer.bias = linear.bias
    made: nn.Module = layer.train(linear.training)
    return made


def _set(model: PreTrainedModel, name: str, module: nn.Module) -> None:
    parent, _, leaf = name.rpartition(".")
    setattr(model.get_submodule(parent), leaf, module)


METHOD = Qlora
