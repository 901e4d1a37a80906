"""Poly: every layer mixes a few LoRA skills in proportions of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from peftbench.methods._linear import NOT_LINEAR, LinearMethod
from peftbench.methods._settings import whole
from peftbench.models import Linear, Shapes

if TYPE_CHECKING:
    from peft import PeftConfig, PeftModel
    from torch import nn
    from transformers import PreTrainedModel


@dataclass(frozen=True, kw_only=True)
class Poly(LinearMethod):
    """Polytropon's routed skills (Ponti et al., 2022, arXiv:2202.13914).

    Computes ``W x + 1 / rank * B A x`` with W: (d_out, d_in), frozen, and A and B mixtures
    ``sum_k w_k A_k``, ``sum_k w_k B_k`` of num_skills pairs A_k: (rank, d_in), random, and
    B_k: (d_out, rank), zero. The weights w are a layer's own: sigmoids of trained logits, drawn
    from a relaxed Bernoulli distribution in training, over their sum. The paper has a row of
    logits for each of many tasks; here is one task, of number 0.
    Trains ``num_skills * (rank * (d_in + d_out) + 1)`` parameters per layer.
    """

    rank: int = whole(8, peft="r", hint="try 1 to 16")
    num_skills: int = whole(4, peft="n_skills", hint="try 4 to 16")

    title = "Poly"
    tuner = "PolyConfig"
    fixed = {"n_tasks": 1}
    family = "reparameterised"
    paper = "Ponti et al., 2022, arXiv:2202.13914"
    defaults_from = "peft: rank 8, 4 skills, not split"
    identity_at_start = True  # because every B_k is zero
    mergeable = False  # as peft has it
    zeros_will_do = True
    budget_knob = "rank"
    unsupported = {
        **NOT_LINEAR,
        "opt": "its MLP sees all rows as one, and peft's Poly mixes skills row by row",
    }
    #: Ponti et al., T5 and Flan: 1e-3 to 1e-2 for skills and logits.
    training = {"learning_rate": 1e-3}

    def layer_parameters(self, layer: Linear, shapes: Shapes) -> int:
        return self.num_skills * (self.rank * (layer.d_in + layer.d_out) + 1)

    def _wrap(self, model: PreTrainedModel, config: PeftConfig) -> PeftModel:
        from peft.tuners.poly.router import PolyRouter

        adapted = super()._wrap(model, config)
        for module in adapted.modules():
            if isinstance(module, PolyRouter):
                module.register_forward_pre_hook(_with_task, with_kwargs=True)
        return adapted


def _with_task(
    _router: nn.Module, arguments: tuple[Any, ...], keywords: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Every row is of task 0, the only one."""
    import torch

    rows = keywords["input_ids"]  # what peft calls so here is the layer's input
    task_ids = torch.zeros(len(rows), dtype=torch.long, device=rows.device)
    return arguments, keywords | {"task_ids": task_ids}


METHOD = Poly
