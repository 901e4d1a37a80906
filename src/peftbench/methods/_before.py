"""How a base model was before a method came, so that it can be made so again.

`peft` unloads its layers, but leaves traces on the base: every parameter frozen,
`prepare_inputs_for_generation` and `generation_config` pinned to it by `generate`, hooks
on its embeddings under gradient checkpointing and on its blocks, a changed `pretraining_tp`. On
a base that stays resident for hundreds of runs, none may stay.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from peftbench.errors import ModelError

if TYPE_CHECKING:
    import torch
    from torch import nn

_KEY = "_peftbench_before"


@dataclass(frozen=True)
class Before:
    """State of a base model that methods may change, by the names of its modules."""

    attributes: dict[str, frozenset[str]]
    training: dict[str, bool]
    requires_grad: dict[str, bool]
    config: dict[str, Any]
    #: Of each module its forward hooks and pre-hooks.
    hooks: dict[str, tuple[frozenset[int], ...]]
    #: Copies on the CPU, where a method trains the base's own weights.
    weights: dict[str, torch.Tensor] = field(default_factory=dict)

    @classmethod
    def remember(cls, model: nn.Module, *, weights: Collection[str] = ()) -> Before:
        """Note the state of `model`, on `model`, until it is taken back; of the parameters
        that `weights` names, their values too.

        Raises `ModelError` where another method is still attached.
        """
        if _KEY in vars(model) or "peft_config" in vars(model):
            raise ModelError(
                "This base model already has a method on it: detach that one first."
            )
        before = cls(
            attributes={
                name: frozenset(vars(part)) for name, part in model.named_modules()
            },
            training={name: part.training for name, part in model.named_modules()},
            requires_grad={name: p.requires_grad for name, p in model.named_parameters()},
            config=dict(vars(getattr(model, "config", object))),
            hooks={
                name: tuple(frozenset(table) for table in _hooks(part))
                for name, part in model.named_modules()
            },
            weights=_cpu_copies(model, frozenset(weights)),
        )
        vars(model)[_KEY] = before
        return before

    @classmethod
    def of(cls, model: nn.Module) -> Before:
        """What was remembered of `model`, which stays remembered."""
        found: Before = vars(model)[_KEY]
        return found

    @classmethod
    def take(cls, model: nn.Module) -> Before:
        """What was remembered of `model`; raises `ModelError` where nothing was."""
        found: Before | None = vars(model).pop(_KEY, None)
        if found is None:
            raise ModelError(
                "This model has no method on it that came by `attach` or `load`, or it was "
                "detached before."
            )
        return found

    def restore(self, model: nn.Module, *, weights: bool = True) -> None:
        """Make `model`, free of layers that are not its own, as it was."""
        for handle in vars(model).get("_require_grads_hooks", ()):
            handle.remove()
        for name, part in model.named_modules():
            for added in vars(part).keys() - self.attributes.get(name, vars(part).keys()):
                del vars(part)[added]
            for table, known in zip(_hooks(part), self.hooks.get(name, ()), strict=False):
                for added_hook in table.keys() - known:
                    del table[added_hook]
            part.training = self.training.get(name, part.training)
        for name, parameter in model.named_parameters():
            if weights and name in self.weights:
                parameter.data = self.weights[name].to(parameter.device)
            parameter.grad = None
            parameter.requires_grad_(self.requires_grad.get(name, False))
        for name, value in self.config.items():
            if getattr(model.config, name, None) is not value:
                setattr(model.config, name, value)


def _hooks(module: nn.Module) -> tuple[dict[int, Any], ...]:
    """`transformers` too leaves some, when a method asks it for hidden states."""
    return module._forward_hooks, module._forward_pre_hooks


def _cpu_copies(model: nn.Module, names: frozenset[str]) -> dict[str, torch.Tensor]:
    return {
        name: p.detach() if p.is_meta else p.detach().to("cpu", copy=True)
        for name, p in model.named_parameters()
        if name in names
    }
