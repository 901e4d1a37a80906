"""BitFit as a `peft` tuner: importing this module teaches `peft` the type "BITFIT"."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, cast

import torch
from peft.config import PeftConfig
from peft.tuners.tuners_utils import BaseTuner, BaseTunerLayer, check_adapters_to_merge
from peft.utils import PeftType, register_peft_method
from torch import nn


def _add_peft_type(name: str) -> PeftType:
    """Add a member to the enumeration that `peft` looks types up in.

    `register_peft_method` demands a member and offers no way to add one.
    """
    if name in PeftType.__members__:
        return PeftType(name)
    member = str.__new__(PeftType, name)
    member._name_, member._value_ = name, name
    PeftType._member_map_[name] = member
    PeftType._member_names_.append(name)
    PeftType._value2member_map_[name] = member
    return member


@dataclass
class BitFitConfig(PeftConfig):  # type: ignore[misc]
    """Which linear layers get a trained bias."""

    target_modules: list[str] | str | None = field(default="all-linear")
    exclude_modules: list[str] | str | None = field(default=None)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.peft_type = _add_peft_type("BITFIT")
        if isinstance(self.target_modules, list):
            self.target_modules = set(self.target_modules)  # type: ignore[assignment]


class BitFitLayer(nn.Module, BaseTunerLayer):  # type: ignore[misc]
    """A linear layer with a trained vector added to its output."""

    adapter_layer_names = ("bitfit_bias",)

    def __init__(
        self, base_layer: nn.Linear, adapter_name: str, config: BitFitConfig
    ) -> None:
        super().__init__()
        self.base_layer: Any = base_layer  # or another tuner's layer around one
        self.in_features, self.out_features = (
            base_layer.in_features,
            base_layer.out_features,
        )
        self.bitfit_bias = nn.ParameterDict()
        self._disable_adapters = False
        self.merged_adapters: list[str] = []
        self._had_bias = base_layer.bias is not None
        self._active_adapter = adapter_name
        self.update_layer(adapter_name, config)

    def update_layer(self, adapter_name: str, config: BitFitConfig) -> None:
        """Add one adapter, starting at zero."""
        weight = self.base_layer.weight
        zeros = torch.zeros(self.out_features, device=weight.device)
        self.bitfit_bias[adapter_name] = nn.Parameter(zeros)
        BaseTunerLayer.set_adapter(
            self, [adapter_name], inference_mode=config.inference_mode
        )

    def forward(self, x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        """``W x + b + d``."""
        result: torch.Tensor = self.base_layer(x, *args, **kwargs)
        if self.disable_adapters or self.merged:
            return result
        for name in cast("list[str]", self.active_adapters):
            result = result + self.bitfit_bias[name].to(result.dtype)
        return result

    def merge(
        self, safe_merge: bool = False, adapter_names: list[str] | None = None
    ) -> None:
        """Fold d into the layer's bias; `safe_merge` refuses one that is not finite."""
        for name in check_adapters_to_merge(self, adapter_names):
            delta = self.bitfit_bias[name].data.to(self.base_layer.weight.dtype)
            if safe_merge and not torch.isfinite(delta).all():
                raise ValueError(f"The bias of adapter {name!r} is not finite.")
            if self.base_layer.bias is None:
                self.base_layer.bias = nn.Parameter(delta.clone(), requires_grad=False)
            else:
                self.base_layer.bias.data += delta
            self.merged_adapters.append(name)

    def unmerge(self) -> None:
        """Undo `merge`."""
        while self.merged_adapters:
            name = self.merged_adapters.pop()
            if not self._had_bias and not self.merged_adapters:
                self.base_layer.bias = None
            elif self.base_layer.bias is not None:
                delta = self.bitfit_bias[name].data
                self.base_layer.bias.data -= delta.to(self.base_layer.weight.dtype)


class BitFitModel(BaseTuner):  # type: ignore[misc]
    """A model whose chosen linear layers have a trained bias."""

    prefix = "bitfit_"
    tuner_layer_cls = BitFitLayer
    target_module_mapping: ClassVar[dict[str, list[str]]] = {}

    def _create_and_replace(
        self,
        peft_config: BitFitConfig,
        adapter_name: str,
        target: nn.Module,
        target_name: str,
        parent: nn.Module,
        current_key: str,
        **_: Any,
    ) -> None:
        if isinstance(target, BitFitLayer):
            target.update_layer(adapter_name, peft_config)
            return
        if not isinstance(target, nn.Linear):
            raise ValueError(
                f"BitFit adds biases to linear layers; {current_key} is a "
                f"{type(target).__name__}. Name linear layers in target_modules."
            )
        layer = BitFitLayer(target, adapter_name, peft_config)
        if adapter_name not in self.active_adapters:
            layer.requires_grad_(False)
        self._replace_module(parent, target_name, layer, target)


_add_peft_type("BITFIT")
register_peft_method(name="bitfit", config_cls=BitFitConfig, model_cls=BitFitModel)
