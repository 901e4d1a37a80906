"""AdaLoRA: LoRA in the form of a singular value decomposition, pruned while it trains."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from peftbench.methods._hook import Hook, RunContext
from peftbench.methods._linear import LinearMethod
from peftbench.methods._settings import fraction, positive, whole
from peftbench.models import Linear, Shapes

if TYPE_CHECKING:
    import torch
    from peft import AdaLoraConfig, PeftConfig, PeftModel
    from torch import nn
    from transformers import PreTrainedModel

_ADAPTER = "default"
#: Steps of a run that is not known: nothing is pruned before it is.
_SOME_STEPS = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Adalora(LinearMethod):
    """Adaptive budget allocation (Zhang et al., 2023, arXiv:2303.10512).

    Computes ``W x + (alpha / rank) * B diag(e) A x`` with W: (d_out, d_in), frozen,
    A: (initial_rank, d_in) and B: (d_out, initial_rank), random, e: (initial_rank,), zero. Between
    two points of the run the number of singular values falls, on a cubic curve, from initial_rank
    to target_rank per layer on average: those whose own and whose vectors' sensitivity is least
    are set to zero after each step. The loss gains ``orthogonality`` times the mean of
    ``||A A^T - I||`` and ``||B^T B - I||``.
    Trains ``initial_rank * (d_in + d_out + 1)`` parameters per layer. Saved are, once pruning has
    begun, only the directions that are left.
    """

    target_rank: int = whole(8, hint="try 4 to 64")
    initial_rank: int = whole(12, peft="init_r", hint="try 4 to 64")
    alpha: int = whole(32, peft="lora_alpha", hint="try 4 to 64")
    begin: float = fraction(0.1)
    end: float = fraction(0.6)
    orthogonality: float = positive(0.1, peft="orth_reg_weight", hint="try 0.1 to 0.5")

    title = "AdaLoRA"
    tuner = "AdaLoraConfig"
    family = "reparameterised"
    paper = "Zhang et al., 2023, arXiv:2303.10512"
    defaults_from = (
        "Zhang et al., MNLI: pruning from 9 to 59 % of the steps, orthogonality 0.1, initial rank "
        "1.5 times the target; alpha: their code"
    )
    identity_at_start = True  # because e is zero
    mergeable = True
    budget_knob = "initial_rank"
    #: Zhang et al., MNLI.
    training = {"learning_rate": 5e-4}

    def layer_parameters(self, layer: Linear, shapes: Shapes) -> int:
        return self.initial_rank * (layer.d_in + layer.d_out + 1)

    def peft_fields(self, shapes: Shapes) -> dict[str, Any]:
        target = {"target_r": min(self.target_rank, self.initial_rank)}
        return super().peft_fields(shapes) | self._schedule(_SOME_STEPS) | target

    def attach_for(self, model: PreTrainedModel, context: RunContext) -> nn.Module:
        """With the schedule of a run of so many steps."""
        config = replace(
            cast("AdaLoraConfig", self.config(model)), **self._schedule(context.steps)
        )
        return cast("nn.Module", self._wrap(model, config))

    def hook(self, adapted: nn.Module, context: RunContext) -> Hook:
        """The penalty and the pruning."""
        return AdaloraHook(cast("PeftModel", adapted))

    def save(self, adapted: nn.Module, folder: Path) -> None:
        """Without the directions that were pruned."""
        config: Any = cast("PeftModel", adapted).active_peft_config
        if config.rank_pattern:
            # Not what the last step kept: the best state may be that of an earlier one.
            config.rank_pattern = {
                name: (parameter != 0).flatten().tolist()
                for name, parameter in cast(
                    "Any", adapted
                ).base_model.model.named_parameters()
                if "lora_E" in name
            }
        super().save(adapted, folder)

    def _install(
        self,
        model: PreTrainedModel,
        config: PeftConfig,
        weights: dict[str, torch.Tensor],
        folder: Path,
    ) -> nn.Module:
        """In float32: `peft` makes pruned layers anew, in the precision of the base, and rounds
        what it puts into them."""
        adapted = super()._install(model, config, weights, folder)
        for name, parameter in adapted.named_parameters():
            if "lora_" in name or ".ranknum." in name:
                saved = weights.get(name.removesuffix(".default"), parameter.data)
                parameter.data = saved.float()
        return adapted

    def _wrap(self, model: PreTrainedModel, config: PeftConfig) -> PeftModel:
        adapted = super()._wrap(model, config)
        for name, parameter in adapted.named_parameters():
            if ".ranknum." in name:  # a constant, which peft unfreezes on a bfloat16 base
                parameter.requires_grad_(False)
        return adapted

    def _schedule(self, steps: int) -> dict[str, int]:
        begin, end = round(self.begin * steps), round(self.end * steps)
        # At least one step has to lie between begin and end, and before the run is over.
        begin = min(begin, max(0, steps - 2))
        final = min(max(0, steps - end), max(0, steps - begin - 1))
        return {"total_step": steps, "tinit": begin, "tfinal": final, "deltaT": 1}


class AdaloraHook(Hook):
    """Prunes after every step, and keeps the factors orthogonal."""

    def __init__(self, adapted: PeftModel) -> None:
        self.tuner: Any = adapted.base_model
        self.config: Any = adapted.active_peft_config
        named = dict(adapted.named_parameters())
        self.first = [p for name, p in named.items() if "lora_A" in name]
        self.second = [p for name, p in named.items() if "lora_B" in name]

    def penalty(self) -> torch.Tensor:
        """The orthogonal regularisation of the paper's equation 4, as `peft` averages it."""
        import torch

        grams = [a @ a.T for a in self.first] + [b.T @ b for b in self.second]
        distances = [
            torch.linalg.norm(g - torch.eye(len(g), device=g.device)) for g in grams
        ]
        return (
            cast("torch.Tensor", self.config.orth_reg_weight)
            * torch.stack(distances).mean()
        )

    def after_step(self, step: int) -> None:
        """Update the scores from the gradients, and prune."""
        self.tuner.update_and_allocate(step)

    def state(self) -> dict[str, torch.Tensor]:
        """Running scores, and which directions are left."""
        import torch

        scores = self.tuner.rankallocator
        kinds = {
            "ipt": scores.ipt,
            "mean": scores.exp_avg_ipt,
            "spread": scores.exp_avg_unc,
        }
        found = {
            f"{kind}|{name}": tensor
            for kind, tensors in kinds.items()
            for name, tensor in tensors.items()
        }
        pattern = self.config.rank_pattern or {}
        return found | {
            f"kept|{name}": torch.tensor(kept) for name, kept in pattern.items()
        }

    def load_state(self, state: Mapping[str, torch.Tensor]) -> None:
        scores = self.tuner.rankallocator
        kinds = {
            "ipt": scores.ipt,
            "mean": scores.exp_avg_ipt,
            "spread": scores.exp_avg_unc,
        }
        for tensors in kinds.values():
            tensors.clear()
        device = self.first[0].device
        kept = {}
        for packed, tensor in state.items():
            kind, _, name = packed.partition("|")
            if kind == "kept":
                kept[name] = tensor.tolist()
            else:
                kinds[kind][name] = tensor.to(device)
        self.config.rank_pattern = kept or None


METHOD = Adalora
