"""MonteCLoRA: LoRA whose first factor is a mixture drawn anew at every step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from peftbench.methods._hook import Hook, RunContext
from peftbench.methods._settings import whole
from peftbench.methods.lora import Lora
from peftbench.models import Linear, Shapes

if TYPE_CHECKING:
    import torch
    from peft import PeftConfig, PeftModel
    from torch import nn
    from transformers import PreTrainedModel


class MontecloraHook(Hook):
    """The divergence from the priors."""

    def __init__(self, adapted: nn.Module) -> None:
        from peft.tuners.lora.monteclora import MontecloraSampler

        self.adapted: Any = adapted
        self.samplers = {
            name: module
            for name, module in adapted.named_modules()
            if isinstance(module, MontecloraSampler)
        }

    def penalty(self) -> torch.Tensor:
        for sampler in self.samplers.values():
            sampler()  # the graph of what the forward pass drew is used up
        return cast("torch.Tensor", self.adapted.base_model._get_monteclora_loss())

    def state(self) -> dict[str, torch.Tensor]:
        """What was drawn last, for the file that is saved."""
        return {
            f"{name}.{key}": buffer.detach()
            for name, sampler in self.samplers.items()
            for key, buffer in sampler.named_buffers()
        }

    def load_state(self, state: Mapping[str, torch.Tensor]) -> None:
        for name, sampler in self.samplers.items():
            sampler.sampler.index = (
                sampler.sampler.buffer_size
            )  # draw anew, as it would have
            for key, buffer in list(sampler.named_buffers()):
                setattr(sampler, key, state[f"{name}.{key}"].to(buffer.device))


@dataclass(frozen=True, kw_only=True)
class Monteclora(Lora):
    """Monte Carlo LoRA (Sengupta et al., 2024, arXiv:2411.04358).

    Computes ``W x + (alpha / rank) * B A' x`` with W: (d_out, d_in), frozen, B: (d_out, rank),
    zero, and in training ``A' = sum_i w_i (A + e_i)`` with A: (rank, d_in), num_samples weights
    w drawn from a Dirichlet and noise e from a normal distribution whose covariance a Wishart
    distribution gives; their parameters, (num_samples,) and (rank,), are trained, with a KL
    divergence from the priors in the loss. In evaluation A' is A.
    Trains ``rank * (d_in + d_out + 1) + num_samples`` parameters per layer. Saved is also what
    was drawn last, ``rank^2 + num_samples`` numbers.
    """

    num_samples: int = whole(8, hint="try 2 to 16")

    title = "MonteCLoRA"
    paper = "Sengupta et al., 2024, arXiv:2411.04358"
    defaults_from = (
        "peft: 8 samples, their scale and the weight of the divergence; the rest: those of "
        "`lora`"
    )
    identity_at_start = True
    mergeable = True
    zeros_will_do = True
    recomputes = False  # the second pass would draw another mixture
    #: That of `lora`.
    training = {"learning_rate": 2e-4}

    def layer_parameters(self, layer: Linear, shapes: Shapes) -> int:
        return super().layer_parameters(layer, shapes) + self.rank + self.num_samples

    def stored_parameters(self, shapes: Shapes) -> int:
        drawn = (self.rank**2 + self.num_samples) * len(self.layers(shapes))
        return self.trainable_parameters(shapes) + drawn

    def check(self, shapes: Shapes) -> None:
        super().peft_fields(shapes)

    def peft_fields(self, shapes: Shapes) -> dict[str, Any]:
        from peft.tuners.lora.config import MontecloraConfig

        # A buffer of one: what is drawn depends on the state of the generator alone.
        sampling = MontecloraConfig(num_samples=self.num_samples, buffer_size=1)
        return super().peft_fields(shapes) | {"monteclora_config": sampling}

    def _wrap(self, model: PreTrainedModel, config: PeftConfig) -> PeftModel:
        """Where weights have no numbers, `peft` leaves the samplers to the first forward pass."""
        from peft.tuners.lora.variants import MontecloraLinearVariant

        adapted = super()._wrap(model, config)
        if model.device.type == "meta":
            for module in adapted.modules():
                for name, sampling in (
                    vars(module).get("_lora_monteclora_config", {}).items()
                ):
                    module.lora_monteclora_sampler[name] = (
                        MontecloraLinearVariant._create_sampler(module, name, sampling)
                    )
        return adapted

    def hook(self, adapted: nn.Module, context: RunContext) -> Hook:
        """The penalty, and what was drawn last."""
        return MontecloraHook(adapted)


METHOD = Monteclora
