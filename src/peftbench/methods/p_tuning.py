"""P-tuning: a soft prompt that a small network computes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from peftbench.methods._settings import one_of, whole
from peftbench.methods._virtual_tokens import EmbeddedPrompt
from peftbench.models import Shapes


@dataclass(frozen=True, kw_only=True)
class PTuning(EmbeddedPrompt):
    """A soft prompt computed by a small network (Liu et al., 2021, arXiv:2103.10385).

    Computes ``f([g(P); E(x)])`` with P: (num_virtual_tokens, hidden) and the network g both
    trained. With d = hidden and h = encoder_hidden_size, g is
    "mlp": d -> h -> h -> d with ReLU between, ``2 d h + h^2 + 2 h + d`` parameters;
    "lstm": two bidirectional LSTM layers of h per direction, then 2h -> 2h -> d with ReLU.
    Trains these and ``num_virtual_tokens * d``. Saved is only ``g(P)``, all that is used
    afterwards: ``num_virtual_tokens * d`` numbers. The logits of an adapted model have
    `num_virtual_tokens` positions more, at the front.
    """

    num_virtual_tokens: int = whole(20, peft="num_virtual_tokens", hint="try 10 to 100")
    encoder: Literal["mlp", "lstm"] = one_of("mlp", ("mlp", "lstm"), called="encoders")
    encoder_hidden_size: int = whole(128, peft="encoder_hidden_size", hint="try 128")

    title = "P-tuning"
    tuner = "PromptEncoderConfig"
    placement = "before the input's embeddings"
    paper = "Liu et al., 2021, arXiv:2103.10385"
    defaults_from = "the P-tuning guide of huggingface/peft; Liu et al. use an LSTM"
    identity_at_start = False  # the virtual tokens are attended to
    mergeable = False
    budget_knob = "encoder_hidden_size"
    training = {"learning_rate": 1e-3}

    def trainable_parameters(self, shapes: Shapes) -> int:
        """``num_virtual_tokens * d`` and the network's, see the class."""
        d, h = shapes.hidden_size, self.encoder_hidden_size
        if self.encoder == "mlp":
            network = (d * h + h) + (h * h + h) + (h * d + d)
        else:
            first = 2 * (4 * h * d + 4 * h * h + 8 * h)  # two directions, four gates
            second = 2 * (4 * h * 2 * h + 4 * h * h + 8 * h)
            network = first + second + (2 * h * 2 * h + 2 * h) + (2 * h * d + d)
        return self.num_virtual_tokens * d + network

    def stored_parameters(self, shapes: Shapes) -> int:
        """``num_virtual_tokens * d``, the prompt that the network computed."""
        return self.num_virtual_tokens * shapes.hidden_size

    def peft_fields(self, shapes: Shapes) -> dict[str, Any]:
        kind = {"encoder_reparameterization_type": self.encoder.upper()}
        return super().peft_fields(shapes) | kind


METHOD = PTuning
