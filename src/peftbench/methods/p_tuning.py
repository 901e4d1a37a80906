"""P-tuning: a soft prompt that a small network computes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from peftbench.errors import InvalidSpec
from peftbench.methods._method import Family, PeftMethod
from peftbench.methods._settings import check_whole

if TYPE_CHECKING:
    from peft import PeftConfig, PeftModel
    from transformers import PreTrainedModel

    from peftbench.models._shapes import Shapes


@dataclass(frozen=True, kw_only=True)
class PTuning(PeftMethod):
    """A soft prompt computed by a small network (Liu et al., 2021, arXiv:2103.10385).

    Computes ``f([g(P); E(x)])`` with P: (num_virtual_tokens, hidden) and the network g both
    trained. With d = hidden and h = encoder_hidden_size, g is
    "mlp": d -> h -> h -> d with ReLU between, ``2 d h + h^2 + 2 h + d`` parameters;
    "lstm": two bidirectional LSTM layers of h per direction, then 2h -> 2h -> d with ReLU.
    Trains these and ``num_virtual_tokens * d``. Saved is only ``g(P)``, all that is used
    afterwards: ``num_virtual_tokens * d`` numbers. The logits of an adapted model have
    `num_virtual_tokens` positions more, at the front.
    """

    num_virtual_tokens: int = 20
    encoder: Literal["mlp", "lstm"] = "mlp"
    encoder_hidden_size: int = 128

    family: ClassVar[Family] = "soft prompt"
    placement: ClassVar[str] = "before the input's embeddings"
    paper: ClassVar[str] = "Liu et al., 2021, arXiv:2103.10385"
    defaults_from: ClassVar[str] = (
        "the P-tuning guide of huggingface/peft; Liu et al. use an LSTM"
    )
    identity_at_start: ClassVar[bool] = False  # the virtual tokens are attended to
    mergeable: ClassVar[bool] = False
    budget_knob: ClassVar[str | None] = "encoder_hidden_size"
    training: ClassVar[Mapping[str, Any]] = {"learning_rate": 1e-3}

    def __post_init__(self) -> None:
        check_whole(
            "P-tuning", "num_virtual_tokens", self.num_virtual_tokens, "try 10 to 100"
        )
        check_whole("P-tuning", "encoder_hidden_size", self.encoder_hidden_size, "try 128")
        if self.encoder not in ("mlp", "lstm"):
            raise InvalidSpec(
                f"P-tuning knows the encoders mlp and lstm, got {self.encoder!r}; choose one."
            )

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

    def config(self, model: PreTrainedModel) -> PeftConfig:  # noqa: ARG002
        """See `PeftMethod.config`."""
        import peft

        return peft.PromptEncoderConfig(
            task_type="CAUSAL_LM",
            num_virtual_tokens=self.num_virtual_tokens,
            encoder_reparameterization_type=self.encoder.upper(),
            encoder_hidden_size=self.encoder_hidden_size,
        )

    def _wrap(self, model: PreTrainedModel, config: PeftConfig) -> PeftModel:
        from peftbench.methods._virtual_tokens import count_positions_from_mask

        adapted = super()._wrap(model, config)
        count_positions_from_mask(adapted)
        return adapted


METHOD = PTuning
