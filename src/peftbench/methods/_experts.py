"""What X-LoRA needs of its experts: how they are found, filled in, and weighed.

`peft`'s own X-LoRA reads an input twice through all LoRA layers and the output layer, and its
hooks do not outlive gradient checkpointing. The computation here is the same: `route` puts in
its place one pass of the bare base, whose hidden states the router turns into weights.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Self

from peftbench.errors import InvalidSpec
from peftbench.methods._from_config import FILE, check_patterns, read_json
from peftbench.methods._method import WEIGHTS
from peftbench.reading import path_of

if TYPE_CHECKING:
    import torch
    from peft import PeftConfig
    from torch import nn

_PREFIX = "base_model.model."

#: Fields of a LoRA config that make more of it than B A x beside frozen weights.
_MORE_THAN_LORA = (
    "use_dora", "modules_to_save", "trainable_token_indices", "alora_invocation_tokens",
    "layer_replication", "lora_bias", "velora_config", "kasa_config", "monteclora_config",
    "use_bdlora", "use_qalora", "target_parameters", "rank_pattern", "alpha_pattern",
)  # fmt: skip
#: Starts that leave the base as it is; PiSSA's and LoRA-GA's take their part out of it.
_STARTS = (True, False, None, "gaussian", "eva", "orthogonal")


@dataclass(frozen=True)
class Expert:
    """A finished LoRA adapter in `peft`'s format."""

    folder: Path
    rank: int
    layers: Mapping[str, tuple[int, int]]  # by name in the base: inputs and outputs
    digest: str  # SHA-256 of its config and weights

    @classmethod
    def find(cls, path: str) -> Self:
        """The expert in a folder; raises `InvalidSpec` where there is none to be mixed."""
        folder = path_of(path).resolve()
        if not (folder / FILE).is_file() or not (folder / WEIGHTS).is_file():
            raise InvalidSpec(
                f"No LoRA adapter in {path!r}: expected a folder with {FILE} and {WEIGHTS}."
            )
        config = read_json(folder / FILE)
        check_patterns(folder / FILE, config)
        if config.get("peft_type") != "LORA":
            raise InvalidSpec(
                f"X-LoRA mixes LoRA adapters; {path} is {config.get('peft_type')}."
            )
        more = [name for name in _MORE_THAN_LORA if config.get(name)]
        if config.get("bias", "none") != "none":
            more.append("bias")
        if config.get("init_lora_weights", True) not in _STARTS:
            more.append("init_lora_weights")
        if more:
            raise InvalidSpec(
                f"X-LoRA mixes plain LoRA adapters; {path} is more than that by its "
                f"{', '.join(more)}. For one that started from the base's own weights, see peft's "
                "guide on turning it into plain LoRA."
            )
        both = (folder / FILE).read_bytes() + (folder / WEIGHTS).read_bytes()
        return cls(
            folder, int(config["r"]), _layers(folder), hashlib.sha256(both).hexdigest()
        )


def _layers(folder: Path) -> dict[str, tuple[int, int]]:
    """Inputs and outputs of the layers that an adapter's file has factors for."""
    from safetensors import safe_open

    sizes: dict[str, dict[str, list[int]]] = {}
    with safe_open(folder / WEIGHTS, "pt") as file:
        for key in file.keys():  # noqa: SIM118 - it is no mapping
            for factor in ("lora_A", "lora_B"):
                if key.endswith(f".{factor}.weight"):
                    name = key.removeprefix(_PREFIX).removesuffix(f".{factor}.weight")
                    sizes.setdefault(name, {})[factor] = file.get_slice(key).get_shape()
    if not sizes or any(len(found) < 2 for found in sizes.values()):
        raise InvalidSpec(
            f"{folder / WEIGHTS} does not hold LoRA's factors, A and B of each."
        )
    return {name: (found["lora_A"][1], found["lora_B"][0]) for name, found in sizes.items()}


def hollow(config: PeftConfig, folder: Path) -> None:
    """An adapter's folder without weights: its layers stay as they start."""
    from safetensors.torch import save_file

    config.save_pretrained(str(folder))
    save_file({}, folder / WEIGHTS)


def expert_weights(adapted: nn.Module, name: str) -> dict[str, torch.Tensor]:
    """The tensors of one expert, under the names that LoRA's own files have."""
    model: Any = adapted.base_model
    found = {}
    for key, parameter in model.lora_model.named_parameters():
        for factor in ("lora_A", "lora_B"):
            if key.endswith(f".{factor}.{name}.weight"):
                layer = key.removesuffix(f".{factor}.{name}.weight")
                found[f"base_model.{layer}.{factor}.weight"] = parameter.detach()
    return found


def copy_experts(adapted: nn.Module, folders: Sequence[Path]) -> None:
    """Fill the experts in from their files, in order. Raises `KeyError` or `RuntimeError`
    where a file lacks a tensor or has one of another shape."""
    from safetensors.torch import load_file

    for name, folder in enumerate(folders):
        weights = load_file(folder / WEIGHTS)
        for key, parameter in expert_weights(adapted, str(name)).items():
            parameter.copy_(weights[key])


def route(adapted: nn.Module) -> None:
    """Weigh the experts by one pass of the bare base before every pass, in float32."""
    from peft.tuners.lora.layer import LoraLayer

    tuner: Any = adapted.base_model
    tuner.internal_xlora_classifier.layers.float()
    tuner._enable_peft_forward_hooks = partial(_routing, tuner)
    for layer in tuner.modules():
        if isinstance(layer, LoraLayer):
            layer.register_forward_pre_hook(partial(_hand_over, tuner), with_kwargs=True)


@contextmanager
def _routing(tuner: Any, *_arguments: Any, **_keywords: Any) -> Iterator[None]:
    """In place of `XLoraModel._enable_peft_forward_hooks`."""
    if tuner.disabled:
        yield
        return
    handle = tuner.lora_model.model.register_forward_pre_hook(
        partial(_weigh, tuner), with_kwargs=True
    )
    try:
        yield
    finally:
        handle.remove()


def _weigh(
    tuner: Any, model: Any, arguments: tuple[Any, ...], keywords: dict[str, Any]
) -> None:
    """Before a pass: the weights of every token, layer and expert."""
    import torch

    names = ("input_ids", "attention_mask", "position_ids", "inputs_embeds")
    inputs = dict(zip(names, arguments, strict=False))
    inputs |= {name: keywords[name] for name in names if keywords.get(name) is not None}
    tuner.disabled = True
    try:
        with torch.no_grad():
            hidden = model.get_decoder()(**inputs, use_cache=False).last_hidden_state
    finally:
        tuner.disabled = False
    tuner.internal_xlora_scalings = tuner.internal_xlora_classifier(
        SimpleNamespace(hidden_states=[hidden.float()]),
        input_ids=inputs.get("input_ids"),
        inputs_embeds=inputs.get("inputs_embeds"),
    )


def _hand_over(
    tuner: Any, _layer: nn.Module, arguments: tuple[Any, ...], keywords: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return arguments, keywords | {"scalings": tuner.internal_xlora_scalings}
