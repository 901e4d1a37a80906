"""VeLoRA: LoRA that keeps its inputs compressed until the backward pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from peftbench.methods._hook import Hook, RunContext
from peftbench.methods._settings import whole
from peftbench.methods.lora import Lora
from peftbench.models import Shapes

if TYPE_CHECKING:
    import torch
    from torch import nn

_ADAPTER = "default"


class VeloraHook(Hook):
    """Remembers the vectors that the first batch gave."""

    def __init__(self, adapted: nn.Module) -> None:
        self.layers: dict[str, Any] = {
            f"{name}.lora_velora_embed.{_ADAPTER}": module
            for name, module in adapted.named_modules()
            if hasattr(module, "lora_velora_embed")
        }

    def state(self) -> dict[str, torch.Tensor]:
        """Zeros before the first batch."""
        return {
            name: layer.lora_velora_embed[_ADAPTER] for name, layer in self.layers.items()
        }

    def load_state(self, state: Mapping[str, torch.Tensor]) -> None:
        for name, layer in self.layers.items():
            before = layer.lora_velora_embed[_ADAPTER]
            layer.lora_velora_embed[_ADAPTER] = state[name].to(before.device)
            layer.lora_velora_initialized[_ADAPTER] = bool(state[name].any())


@dataclass(frozen=True, kw_only=True)
class Velora(Lora):
    """Rank-one sub-token projections (Miles et al., 2024, arXiv:2405.17991).

    Computes ``W x + (alpha / rank) * B A x`` as `lora` does: W: (d_out, d_in), frozen, A:
    (rank, d_in), random, B: (d_out, rank), zero. For A's gradient, x is cut into num_groups
    pieces of length g = ceil(d_in / num_groups), and only their projections on one vector v:
    (g,) are kept, the mean piece of the first batch: less memory for a coarser gradient.
    Trains ``rank * (d_in + d_out)`` parameters per layer. Saved is v too.
    """

    num_groups: int = whole(64, hint="try 32 to 128")

    title = "VeLoRA"
    paper = "Miles et al., 2024, arXiv:2405.17991"
    defaults_from = "64 groups: peft; the rest: those of `lora`"
    identity_at_start = True
    mergeable = True
    zeros_will_do = True
    #: That of `lora`.
    training = {"learning_rate": 2e-4}

    def stored_parameters(self, shapes: Shapes) -> int:
        pieces = sum(-(-layer.d_in // self.num_groups) for layer in self.layers(shapes))
        return self.trainable_parameters(shapes) + pieces

    def check(self, shapes: Shapes) -> None:
        super().peft_fields(shapes)

    def peft_fields(self, shapes: Shapes) -> dict[str, Any]:
        from peft.tuners.lora.config import VeloraConfig

        once = VeloraConfig(num_groups=self.num_groups, init_type="batch_average_once")
        return super().peft_fields(shapes) | {"velora_config": once}

    def hook(self, adapted: nn.Module, context: RunContext) -> Hook:
        """The vectors that the first batch gave."""
        return VeloraHook(adapted)


METHOD = Velora
