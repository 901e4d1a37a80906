"""P-tuning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from peftbench.errors import InvalidSpec
from peftbench.methods._method import Family, PeftMethod, check_positive

if TYPE_CHECKING:
    from peft import PeftConfig
    from transformers import PreTrainedModel

    from peftbench.models._shapes import Shapes


@dataclass(frozen=True, kw_only=True)
class PTuning(PeftMethod):
    """A soft prompt written by a small network (Liu et al., 2021, arXiv:2103.10385).

    The model reads ``[f(e); x]`` with e: (num_virtual_tokens, hidden) and f trained.
    mlp: three layers hidden -> e_h -> e_h -> hidden.  lstm: a two-layer bidirectional
    LSTM of width e_h, then 2 e_h -> 2 e_h -> hidden.  e_h: encoder_hidden_size.
    Only the finished prompt, num_virtual_tokens * hidden numbers, is stored.
    """

    num_virtual_tokens: int = 20
    encoder: Literal["mlp", "lstm"] = "mlp"
    encoder_hidden_size: int = 128

    family: ClassVar[Family] = "soft prompt"
    paper: ClassVar[str] = "Liu et al., 2021, arXiv:2103.10385"
    defaults_from: ClassVar[str] = (
        "the MLP encoder and rate 1e-3: P-tuning as `peft` documents it; the paper's own "
        "choice is the LSTM"
    )
    identity_at_start: ClassVar[bool] = False  # the model reads other tokens before x
    mergeable: ClassVar[bool] = False
    training: ClassVar[Mapping[str, Any]] = {"learning_rate": 1e-3}

    def __post_init__(self) -> None:
        check_positive(
            "P-tuning",
            num_virtual_tokens=self.num_virtual_tokens,
            encoder_hidden_size=self.encoder_hidden_size,
        )
        if self.encoder not in ("mlp", "lstm"):
            raise InvalidSpec(f'P-tuning: encoder is "mlp" or "lstm", got {self.encoder!r}.')

    def trainable_parameters(self, shapes: Shapes) -> int:
        """The prompt's own embeddings and the encoder's weights and biases."""
        hidden, width = shapes.hidden_size, self.encoder_hidden_size
        embeddings = self.num_virtual_tokens * hidden
        if self.encoder == "mlp":
            layers = ((hidden, width), (width, width), (width, hidden))
            return embeddings + _dense(layers)
        # Two layers, each of two directions, each of four gates with two biases.
        lstm = sum(2 * 4 * (width * (d_in + width) + 2 * width) for d_in in (hidden, 2 * width))
        return embeddings + lstm + _dense(((2 * width, 2 * width), (2 * width, hidden)))

    def config(self, model: PreTrainedModel) -> PeftConfig:  # noqa: ARG002
        """See `PeftMethod.config`."""
        import peft

        return peft.PromptEncoderConfig(
            task_type="CAUSAL_LM",
            num_virtual_tokens=self.num_virtual_tokens,
            encoder_reparameterization_type=self.encoder.upper(),
            encoder_hidden_size=self.encoder_hidden_size,
            encoder_dropout=0.0,
        )


def _dense(layers: tuple[tuple[int, int], ...]) -> int:
    """Weights and biases of linear layers of these widths."""
    return sum(d_in * d_out + d_out for d_in, d_out in layers)


METHOD = PTuning
