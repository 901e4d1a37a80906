"""LoRA-GA: LoRA that starts in the directions of the first gradient."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from peftbench.methods._calibrate import loss
from peftbench.methods._residual import ResidualLora
from peftbench.methods._settings import whole
from peftbench.models import Shapes

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel

    from peftbench.methods._hook import RunContext


@dataclass(frozen=True, kw_only=True)
class LoraGa(ResidualLora):
    """Gradient approximation (Wang et al., 2024, arXiv:2407.05000).

    Computes ``(W - s B0 A0) x + s B A x`` with s = alpha / rank. A: (rank, d_in) and
    B: (d_out, rank) start at A0 and B0, singular directions of the gradient of W: (d_out, d_in)
    over the first training batches, the first `rank` on one side and the next on the other,
    in the paper's stable scale: the first step is the nearest to full fine-tuning's.
    Trains ``rank * (d_in + d_out)`` parameters per layer. Saved are start and end, a LoRA of
    twice the rank. `attach`, which sees no data, starts as `lora` does; a run starts from data.
    """

    batches: int = whole(4, hint="try 1 to 16")

    title = "LoRA-GA"
    paper = "Wang et al., 2024, arXiv:2407.05000"
    defaults_from = (
        "stable scale with gamma 16: Wang et al. and peft; 4 batches, 64 examples at the common "
        "batch size, are ours; the rest: those of `lora`"
    )
    #: Wang et al., Llama 2-7B.
    training = {"learning_rate": 5e-5}

    def attach_for(self, model: PreTrainedModel, context: RunContext) -> nn.Module:
        """With the start from the data."""
        from peft.tuners.lora.config import LoraGAConfig
        from peft.tuners.lora.loraga import preprocess_loraga

        config: Any = self.config(model)
        # peft spells "all-linear" out only when it wraps a model, which comes later.
        config.target_modules = {layer.leaf for layer in self.layers(Shapes.of(model))}
        config.init_lora_weights = "lora_ga"
        config.lora_ga_config = LoraGAConfig()

        def gradients() -> None:
            for batch in islice(context.batches(), self.batches):
                loss(model, batch).backward()

        try:
            preprocess_loraga(model, config, gradients)
            return self._attach(model, config)
        finally:
            for module in model.modules():
                vars(module).pop("_peft_loraga_grad", None)


METHOD = LoraGa
