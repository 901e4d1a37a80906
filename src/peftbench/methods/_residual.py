"""LoRA that starts inside the weight: what was put into the factors is taken out of it.

`` W0 x = (W0 - s B0 A0) x + s B0 A0 x ``: PiSSA, OLoRA, CorDA and LoRA-GA differ in A0 and B0.
The weight that is left is computed here, in one way for all, from the base's own weight and
the factors as they are; so an adapter that is loaded computes what it computed in training,
to the bit.

Saved is a plain LoRA of twice the rank on the base as it was, ``[B, -B0] [A; A0]``:
anything that reads LoRA reads it, and no decomposition has to be done again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from peftbench.errors import ModelError
from peftbench.methods._method import WEIGHTS, read_adapter
from peftbench.methods.lora import Lora
from peftbench.models import Shapes

if TYPE_CHECKING:
    import torch
    from peft import LoraConfig, PeftConfig, PeftModel
    from torch import nn
    from transformers import PreTrainedModel

_ADAPTER = "default"
_START = "_peftbench_start"  # where a layer keeps A0 and B0


@dataclass(frozen=True, kw_only=True)
class ResidualLora(Lora):
    """LoRA whose start is taken out of the base's weights, which `detach` brings back."""

    def stored_parameters(self, shapes: Shapes) -> int:
        """Start and end of both factors: twice what is trained."""
        return 2 * self.trainable_parameters(shapes)

    def changed_weights(self, model: PreTrainedModel) -> Collection[str]:
        """Those of all targets."""
        return [f"{layer.name}.weight" for layer in self.layers(Shapes.of(model))]

    def attach(self, model: PreTrainedModel) -> nn.Module:
        return self._attach(model, self.config(model))

    def _attach(self, model: PreTrainedModel, config: PeftConfig) -> nn.Module:
        """`model` with the start that `config` and what was prepared for it give."""
        adapted = self._wrap(model, config)
        for layer in _lora_layers(adapted):
            a, b = (factor[_ADAPTER].weight for factor in (layer.lora_A, layer.lora_B))
            vars(layer)[_START] = (a.detach().clone(), b.detach().clone())
        _take_starts_out(adapted)
        return cast("nn.Module", adapted)

    def save(self, adapted: nn.Module, folder: Path) -> None:
        """A LoRA of twice the rank on the unchanged base."""
        import torch
        from safetensors.torch import save_file

        wrapped = cast("PeftModel", adapted)
        weights = {}
        for name, layer in wrapped.named_modules():
            if _START not in vars(layer):
                continue
            start_a, start_b = vars(layer)[_START]
            a, b = (f[_ADAPTER].weight.detach() for f in (layer.lora_A, layer.lora_B))
            weights[f"{name}.lora_A.weight"] = torch.cat([a, start_a])
            weights[f"{name}.lora_B.weight"] = torch.cat([b, -start_b], dim=1).contiguous()
        config = copy(cast("LoraConfig", wrapped.active_peft_config))
        config.r, config.lora_alpha = 2 * config.r, 2 * config.lora_alpha
        config.init_lora_weights, config.inference_mode = True, True
        config.corda_config = config.lora_ga_config = None
        config.target_modules = sorted(cast("set[str]", config.target_modules))
        folder.mkdir(parents=True, exist_ok=True)
        config.save_pretrained(str(folder))
        save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})

    def load(self, model: PreTrainedModel, folder: Path) -> nn.Module:
        found, weights = read_adapter(folder, model.device)
        config = cast("LoraConfig", found)
        if config.r % 2:
            raise ModelError(
                f"The adapter in {folder} has the odd rank {config.r}; {self.title} saves its "
                "start beside its end, so that the rank is even. Load it as `lora`."
            )
        config.r, config.lora_alpha = config.r // 2, config.lora_alpha // 2
        ends, starts = _halves(weights, config.r)
        adapted = cast("PeftModel", self._install(model, config, ends, folder))
        for name, layer in adapted.named_modules():
            if f"{name}.lora_A.weight" in starts:
                start = starts[f"{name}.lora_A.weight"], -starts[f"{name}.lora_B.weight"]
                vars(layer)[_START] = start
        _take_starts_out(adapted)
        return cast("nn.Module", adapted)


def _lora_layers(adapted: PeftModel) -> Iterator[Any]:
    from peft.tuners.lora import LoraLayer

    return (module for module in adapted.modules() if isinstance(module, LoraLayer))


def _take_starts_out(adapted: PeftModel) -> None:
    """Set every target's weight to the base's own without the start of its adapter."""
    from peftbench.methods._before import Before

    own = Before.of(adapted.get_base_model()).weights
    for name, layer in adapted.get_base_model().named_modules():
        if _START not in vars(layer):
            continue
        start_a, start_b = vars(layer)[_START]
        weight = layer.get_base_layer().weight
        product = layer.scaling[_ADAPTER] * (start_b.float() @ start_a.float())
        product = product.T if layer.fan_in_fan_out else product
        before = own[f"{name}.weight"].to(weight.device)
        weight.data = (before.float() - product).to(before.dtype)


def _halves(
    weights: Mapping[str, torch.Tensor], rank: int
) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """The ends and the starts of all factors, cut apart along the rank."""
    ends, starts = {}, {}
    for name, tensor in weights.items():
        axis = 0 if ".lora_A." in name else 1
        ends[name] = tensor.narrow(axis, 0, rank).contiguous()
        starts[name] = tensor.narrow(axis, rank, rank).contiguous()
    return ends, starts
