"""What `peft` sees of our adapters: a config, a tuner and a layer, registered under a name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

import torch
from peft import PEFT_TYPE_TO_CONFIG_MAPPING, PEFT_TYPE_TO_TUNER_MAPPING, PeftConfig
from peft.mapping import PEFT_TYPE_TO_PREFIX_MAPPING
from peft.tuners.tuners_utils import BaseTuner, BaseTunerLayer, check_adapters_to_merge
from torch import nn

from peftbench.errors import ModelError
from peftbench.methods._native.part import Part

PEFT_TYPE = "PEFTBENCH"


@dataclass
class NativeConfig(PeftConfig):  # type: ignore[misc]  # peft is not typed
    """One of peftbench's own methods with its settings, as `adapter_config.json` holds it."""

    method: str = field(default="", metadata={"help": "A name that peftbench lists."})
    parameters: dict[str, Any] = field(
        default_factory=dict, metadata={"help": "The method's settings."}
    )
    found: dict[str, Any] = field(
        default_factory=dict,
        metadata={"help": "What the method read from data, and needs to lay out tensors."},
    )
    #: `peft` asks every config for it; where a method acts is the method's own affair.
    target_modules: None = field(default=None, metadata={"help": "Not used."})

    def __post_init__(self) -> None:
        super().__post_init__()
        self.peft_type = cast("Any", PEFT_TYPE)


class NativeLayer(nn.Module, BaseTunerLayer):  # type: ignore[misc]
    """A module of the base with the parts of all adapters that act on it."""

    adapter_layer_names = ("native_parts",)

    def __init__(self, base_layer: nn.Module) -> None:
        super().__init__()
        self.base_layer = base_layer
        self.native_parts = nn.ModuleDict()
        self.merged_adapters: list[str] = []
        self._unmerged: dict[str, nn.Parameter | None] = {}

    def __getattr__(self, name: str) -> Any:
        """The base asks its blocks for more than their output, such as their kind."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name == "base_layer":
                raise
            return getattr(super().__getattr__("base_layer"), name)

    def forward(self, *arguments: Any, **keywords: Any) -> Any:
        """The base's module inside the active parts, the first adapter innermost."""
        if self.disable_adapters and self.merged:
            self.unmerge()
        call: Any = self.base_layer
        if not self.disable_adapters and not self.merged:
            for adapter in self.active_adapters:
                if adapter in self.native_parts:
                    call = partial(self.native_parts[adapter], call)
        return call(*arguments, **keywords)

    def merge(
        self, safe_merge: bool = False, adapter_names: list[str] | None = None
    ) -> None:
        """Fold the parts into the base's module; see `Part.fold_into`."""
        layer = self.get_base_layer()
        for adapter in check_adapters_to_merge(self, adapter_names):
            if adapter not in self.native_parts:
                continue
            before = dict(layer._parameters)
            cast("Part", self.native_parts[adapter]).fold_into(layer)
            if safe_merge and not all(p.isfinite().all() for p in layer.parameters()):
                layer._parameters.update(before)
                raise ValueError(f"Merging {adapter} gives weights that are not finite.")
            self._unmerged = {**before, **self._unmerged}
            self.merged_adapters.append(adapter)

    def unmerge(self) -> None:
        """Put the base's own weights back, bit for bit."""
        self.get_base_layer()._parameters.update(self._unmerged)
        self._unmerged = {}
        self.merged_adapters.clear()

    def _move_adapter_to_device_of_base_layer(
        self, adapter_name: str, device: torch.device | None = None
    ) -> None:
        """See `BaseTunerLayer`, which asks for a weight: a whole block of the base has none."""
        if adapter_name in self.native_parts:
            part = cast("Part", self.native_parts[adapter_name])
            _move_beside(part, self.get_base_layer(), device)


class NativeModel(BaseTuner):  # type: ignore[misc]
    """A base model with `Part`s around its modules."""

    prefix = "native_"
    tuner_layer_cls = NativeLayer
    target_module_mapping: Mapping[str, list[str]] = {}

    def _prepare_adapter_config(self, peft_config: Any, model_config: Any) -> Any:
        return peft_config

    def _prepare_model(self, peft_config: NativeConfig, model: nn.Module) -> None:
        from peftbench import methods
        from peftbench.methods._native.method import NativeMethod

        method = methods.get(peft_config.method)(**peft_config.parameters)
        if not isinstance(method, NativeMethod):
            raise ModelError(
                f"{peft_config.method} is not one of the methods that {PEFT_TYPE} carries."
            )
        parts = dict(method.parts(cast("Any", model), peft_config.found))
        if hidden := sorted(parts.keys() - set(_reachable(model))):
            raise ModelError(
                f"{len(hidden)} places, such as {hidden[0]}, lie inside modules that an adapter "
                f"is around already; attach {peft_config.method} first, or to another base."
            )
        self.waiting = parts  # a plain dictionary: these belong to the layers

    def _check_target_module_exists(self, peft_config: Any, key: str) -> bool:
        return key in self.waiting

    def _create_and_replace(
        self,
        peft_config: Any,
        adapter_name: str,
        target: nn.Module,
        target_name: str,
        parent: nn.Module,
        current_key: str,
        parameter_name: str | None = None,
    ) -> None:
        part: Part = self.waiting.pop(current_key)
        layer = target if isinstance(target, NativeLayer) else NativeLayer(target)
        layer.native_parts[adapter_name] = part
        _move_beside(part, layer.get_base_layer())
        self._replace_module(parent, target_name, layer, target)
        layer.set_adapter(self.active_adapters)

    def _replace_module(
        self,
        parent: nn.Module,
        child_name: str,
        new_module: nn.Module,
        child: nn.Module,
    ) -> None:
        # Not peft's own: that asks every module for a weight, and does not look for the
        # parent inside of a part that is around it.
        while isinstance(parent, NativeLayer):
            parent = parent.base_layer
        setattr(parent, child_name, new_module)

    def _unload_and_optionally_merge(self, *arguments: Any, **keywords: Any) -> Any:
        """See `BaseTuner`, which does not look for layers inside of layers."""
        while any(isinstance(module, NativeLayer) for module in self.model.modules()):
            super()._unload_and_optionally_merge(*arguments, **keywords)
        return self.model

    @classmethod
    def _remove_adapter_name_from_key(cls, key: str, adapter_name: str) -> str:
        return key.replace(f".native_parts.{adapter_name}.", ".native_parts.", 1)


def _reachable(model: nn.Module) -> Iterator[str]:
    """Names of the modules that no adapter is around, and of those that one is around."""
    inside: tuple[str, ...] = ()
    for name, module in model.named_modules():
        if not name.startswith(inside):
            yield name
            if isinstance(module, BaseTunerLayer):
                inside = (*inside, f"{name}.")


def _move_beside(part: Part, layer: nn.Module, device: torch.device | None = None) -> None:
    """Put `part` where `layer` is, or on `device`, unless it waits for its values on the meta
    device."""
    if not any(tensor.is_meta for tensor in part.state_dict().values()):
        part.to(device or next(layer.parameters()).device)


def register() -> None:
    """Make `peft` know `NativeConfig`, so that `PeftModel.from_pretrained` opens it.

    `peft.utils.register_peft_method` takes members of its own enumeration only; the public
    tables that it fills take any string, and `PeftType` is compared as one.
    """
    PEFT_TYPE_TO_CONFIG_MAPPING[cast("Any", PEFT_TYPE)] = NativeConfig
    PEFT_TYPE_TO_TUNER_MAPPING[cast("Any", PEFT_TYPE)] = NativeModel
    PEFT_TYPE_TO_PREFIX_MAPPING[cast("Any", PEFT_TYPE)] = NativeModel.prefix
