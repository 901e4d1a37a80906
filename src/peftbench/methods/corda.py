"""CorDA: LoRA that starts from the weight's directions that matter to the data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from peftbench.methods._calibrate import rows
from peftbench.methods._residual import ResidualLora
from peftbench.methods._settings import one_of, whole
from peftbench.models import Shapes

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel

    from peftbench.methods._hook import RunContext


@dataclass(frozen=True, kw_only=True)
class Corda(ResidualLora):
    """Context-oriented decomposition adaptation (Yang et al., 2024, arXiv:2406.05223).

    Computes ``(W - s B0 A0) x + s B A x`` with s = alpha / rank. A: (rank, d_in) and
    B: (d_out, rank) start at A0 and B0, singular directions of ``W C``, times the inverse of
    C: (d_in, d_in), the covariance of the layer's inputs over training examples; the leading
    ones in mode "ipm" (learn the task), the least in "kpm" (keep what is known).
    Trains ``rank * (d_in + d_out)`` parameters per layer. Saved are start and end, a LoRA of
    twice the rank. `attach`, which sees no data, starts as `lora` does; a run starts from data.
    """

    mode: Literal["ipm", "kpm"] = one_of("ipm", ("ipm", "kpm"), called="modes")
    examples: int = whole(256, hint="try 256")

    title = "CorDA"
    paper = "Yang et al., 2024, arXiv:2406.05223"
    defaults_from = (
        "256 examples and instruction-previewed adaptation: Yang et al.; the rest: those of "
        "`lora`"
    )
    zeros_will_do = True
    #: Yang et al., all models, as in PiSSA.
    training = {"learning_rate": 2e-5}

    def attach_for(self, model: PreTrainedModel, context: RunContext) -> nn.Module:
        """With the start from the data."""
        from peft.tuners.lora.config import CordaConfig
        from peft.tuners.lora.corda import preprocess_corda

        config: Any = self.config(model)
        # peft spells "all-linear" out only when it wraps a model, which comes later.
        config.target_modules = {layer.leaf for layer in self.layers(Shapes.of(model))}
        config.init_lora_weights = "corda"
        config.corda_config = CordaConfig(corda_method=self.mode)

        def run_model() -> None:
            for row in rows(context, self.examples):
                model(input_ids=row.to(model.device), use_cache=False)

        modes = {module: module.training for module in model.modules()}
        try:
            preprocess_corda(model, config, run_model)
            return self._attach(model, config)
        finally:
            for module, training in modes.items():
                module.training = training
                vars(module).pop("eigens", None)


METHOD = Corda
