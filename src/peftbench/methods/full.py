"""Full fine-tuning: every weight is trained, the row that methods try to match."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from peftbench.errors import ModelError
from peftbench.methods._method import Method
from peftbench.models import Shapes

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel

_FILE = "model.safetensors"


@dataclass(frozen=True, kw_only=True)
class Full(Method):
    """Every weight of the base model is trained (Howard and Ruder, 2018, arXiv:1801.06146).

    Trains all ``shapes.parameters``, tied weights once, as float32: steps of 1e-5 would be
    lost to rounding in bfloat16. A copy of the original weights waits on the CPU, so that
    `detach` gives the base back bit for bit. Saved is a model folder that
    `AutoModelForCausalLM.from_pretrained` opens.
    """

    family = "baseline"
    placement = "every weight"
    paper = "Howard and Ruder, 2018, arXiv:1801.06146"
    defaults_from = "no settings"
    identity_at_start = True
    mergeable = True  # it is the weights
    budget_knob = None  # all or nothing
    #: huggingface/peft, method_comparison/MetaMathQA, full-finetuning on Llama-3.2-3B.
    training = {"learning_rate": 1e-5}

    def trainable_parameters(self, shapes: Shapes) -> int:
        """All."""
        return shapes.parameters

    def attach(self, model: PreTrainedModel) -> nn.Module:
        """`model` itself, every weight float32 and trainable."""
        from peftbench.methods._before import Before

        if not all(parameter.is_floating_point() for parameter in model.parameters()):
            raise ModelError(
                "Full fine-tuning needs floating-point weights; load the base model without "
                "quantisation."
            )
        Before.remember(model, weights=[name for name, _ in model.named_parameters()])
        for parameter in model.parameters():
            parameter.data = parameter.data.float()
        return cast("nn.Module", model.requires_grad_(True))

    def detach(self, adapted: nn.Module) -> PreTrainedModel:
        from peftbench.methods._before import Before

        Before.take(adapted).restore(adapted)
        return cast("PreTrainedModel", adapted)

    def save(self, adapted: nn.Module, folder: Path) -> None:
        """Write all weights, tied ones once, with the model's config."""
        from safetensors.torch import save_file

        folder.mkdir(parents=True, exist_ok=True)
        weights = {name: p.detach().contiguous() for name, p in adapted.named_parameters()}
        save_file(weights, folder / _FILE, metadata={"format": "pt"})
        cast("PreTrainedModel", adapted).config.save_pretrained(folder)

    def load(self, model: PreTrainedModel, folder: Path) -> nn.Module:
        """Raises `ModelError` where the weights do not fit `model`."""
        from safetensors.torch import load_file

        if not (folder / _FILE).is_file():
            raise ModelError(f"No weights in {folder}: it has no {_FILE}.")
        weights = load_file(folder / _FILE)
        parameters = dict(model.named_parameters())
        if {n: w.shape for n, w in weights.items()} != {
            n: p.shape for n, p in parameters.items()
        }:
            raise ModelError(
                f"The weights in {folder} are of another model: their names or shapes differ."
            )
        adapted = self.attach(model)
        for name, parameter in adapted.named_parameters():
            parameter.data.copy_(weights[name])
        return adapted.requires_grad_(False).eval()

    def merge(self, adapted: nn.Module) -> PreTrainedModel:
        """The trained weights in the precision of the base."""
        from peftbench.methods._before import Before

        before = Before.take(adapted)
        for name, parameter in adapted.named_parameters():
            trained = parameter.data.to(before.weights[name].dtype)
            before.weights[name] = trained
        before.restore(adapted)
        return cast("PreTrainedModel", adapted)


METHOD = Full
