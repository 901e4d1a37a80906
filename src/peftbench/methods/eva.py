"""EVA: LoRA whose first factor starts from the data that flows through the layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, cast

from peftbench.methods._calibrate import is_text
from peftbench.methods._settings import whole
from peftbench.methods.lora import Lora

if TYPE_CHECKING:
    import torch
    from peft import LoraConfig, PeftModel
    from torch import nn
    from transformers import PreTrainedModel

    from peftbench.methods._hook import RunContext


@dataclass(frozen=True, kw_only=True)
class Eva(Lora):
    """Explained-variance adaptation (Paischer et al., 2024, arXiv:2410.07170).

    Computes ``W x + (alpha / rank) * B A x`` as `lora` does, with W: (d_out, d_in), frozen, and
    B: (d_out, rank), zero; A: (rank, d_in) starts as the directions in which the layer's inputs
    vary most, by an incremental decomposition over up to `batches` training batches, repeated
    until it has converged.
    Trains ``rank * (d_in + d_out)`` parameters per layer: the paper's ranks, equal for all
    layers (its rho = 1), so that the count is known before any data is seen. `attach`, which
    sees no data, starts as `lora` does; a run starts from its data.
    """

    batches: int = whole(16, hint="try 8 to 64")

    title = "EVA"
    paper = "Paischer et al., 2024, arXiv:2410.07170"
    defaults_from = (
        "rho 1 is one of the paper's two settings, convergence at 0.99 its own; 16 batches are "
        "ours; the rest: those of `lora`"
    )
    #: That of `lora`; Paischer et al. use 5e-4 on models of 7B and more.
    training = {"learning_rate": 2e-4}

    def attach_for(self, model: PreTrainedModel, context: RunContext) -> nn.Module:
        """With the start from the data."""
        from peft import initialize_lora_eva_weights
        from peft.tuners.lora.config import EvaConfig

        adapted = cast("PeftModel", self.attach(model))
        config = cast("LoraConfig", adapted.active_peft_config)
        config.init_lora_weights = "eva"
        config.eva_config = EvaConfig(rho=1.0, use_label_mask=False)
        batches = [
            {"input_ids": batch.input_ids, "attention_mask": is_text(batch)}
            for batch in islice(context.batches(), self.batches)
        ]
        modes = {module: module.training for module in adapted.modules()}
        initialize_lora_eva_weights(
            adapted,
            batches,
            forward_fn=_forward,
            prepare_model_inputs_fn=lambda inputs, _config: inputs["attention_mask"],
            prepare_layer_inputs_fn=_tokens,
            show_progress_bar=False,
        )
        for module, training in modes.items():
            module.training = training
        # From here on it is a plain LoRA, and is saved as one.
        config.init_lora_weights, config.eva_config = True, None
        config.rank_pattern, config.alpha_pattern = {}, {}
        return cast("nn.Module", adapted)


def _forward(model: nn.Module, inputs: Mapping[str, torch.Tensor]) -> None:
    """Padding on the right needs no mask under a causal one."""
    model(input_ids=inputs["input_ids"], use_cache=False)


def _tokens(
    arguments: tuple[torch.Tensor, ...], is_text: torch.Tensor, _layer: str
) -> torch.Tensor:
    """Inputs of a layer, (tokens, d_in), without padding; some layers see rows in one."""
    return arguments[0].flatten(0, -2)[is_text.flatten()]


METHOD = Eva
