"""QLoRA: LoRA on a base whose linear layers are kept in 4 bits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, cast

from peftbench.methods._linear import NOT_LINEAR
from peftbench.methods.lora import Lora

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

    title: ClassVar[str] = "QLoRA"
    paper: ClassVar[str] = "Dettmers et al., 2023, arXiv:2305.14314"
    defaults_from: ClassVar[str] = (
        "NormalFloat, double quantisation, all linear layers: Dettmers et al.; rank and alpha: "
        "those of `lora`"
    )
    identity_at_start: ClassVar[bool] = False  # the base is quantised
    mergeable: ClassVar[bool] = False  # 4 bits have no room for the update
    unsupported: ClassVar[Mapping[str, str]] = NOT_LINEAR
    #: Dettmers et al., Llama 7B and 13B.
    training: ClassVar[Mapping[str, Any]] = {"learning_rate": 2e-4}

    def _prepare(self, model: PreTrainedModel, config: PeftConfig) -> None:  # noqa: ARG002
        """Put 4-bit layers in the place of the targets."""
        from peftbench.models._shapes import Shapes

        own = {}
        for layer in self.layers(Shapes.of(model)):
            linear = cast("nn.Linear", model.get_submodule(layer.name))
            _set(model, layer.name, quantised(linear))
            own[layer.name] = linear.to("cpu")
        vars(model)[_LINEARS] = own
        vars(model)["is_loaded_in_4bit"] = True  # what peft asks a base for

    def _undo(self, model: PreTrainedModel) -> None:
        device = model.device
        for name, linear in vars(model).pop(_LINEARS, {}).items():
            _set(model, name, linear.to(device))


def quantised(linear: nn.Linear) -> nn.Module:
    """`linear`: (d_in) to (d_out) with its weight in 4 bits, its bias as it was."""
    from bitsandbytes.nn.modules import Linear4bit, Params4bit

    weight = linear.weight
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
        weight.detach().cpu(),
        requires_grad=False,
        quant_type="nf4",
        compress_statistics=True,
    )
    if linear.bias is not None:
        layer.bias = linear.bias
    made: nn.Module = layer.to(weight.device)
    return made.train(linear.training)


def _set(model: PreTrainedModel, name: str, module: nn.Module) -> None:
    parent, _, leaf = name.rpartition(".")
    setattr(model.get_submodule(parent), leaf, module)


METHOD = Qlora
