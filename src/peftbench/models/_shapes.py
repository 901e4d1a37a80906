"""The shapes of a base model: what closed-form parameter counts are computed from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class Linear:
    """One linear layer: y = W x (+ b), with W of shape (d_out, d_in)."""

    name: str  # as in the model: "model.layers.0.self_attn.q_proj"
    d_in: int
    d_out: int
    has_bias: bool

    @property
    def leaf(self) -> str:
        """The last part of the name: "q_proj"."""
        return self.name.rpartition(".")[2]


@dataclass(frozen=True)
class Shapes:
    """All that a method's closed form may need to know of a causal language model."""

    model_type: str  # "llama"
    vocab_size: int
    hidden_size: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    parameters: int  # distinct scalars, tied weights counted once
    linears: tuple[Linear, ...]  # of the blocks, in order; the output layer is not here
    norms: tuple[int, ...]  # trainable scalars of every normalisation layer

    @property
    def kv_dim(self) -> int:
        """Width of the keys (and of the values) of one layer."""
        return self.num_kv_heads * self.head_dim

    @classmethod
    def of(cls, model: PreTrainedModel) -> Shapes:
        """Read the shapes off `model`, which may be on the meta device."""
        from torch import nn

        config = model.config
        head = model.get_output_embeddings()
        heads = config.num_attention_heads
        return cls(
            model_type=config.model_type,
            vocab_size=config.vocab_size,
            hidden_size=config.hidden_size,
            num_layers=config.num_hidden_layers,
            num_heads=heads,
            num_kv_heads=getattr(config, "num_key_value_heads", None) or heads,
            head_dim=getattr(config, "head_dim", None) or config.hidden_size // heads,
            parameters=sum(p.numel() for p in model.parameters()),
            linears=tuple(
                Linear(
                    name, module.in_features, module.out_features, module.bias is not None
                )
                for name, module in model.named_modules()
                if isinstance(module, nn.Linear) and module is not head
            ),
            norms=tuple(
                sum(p.numel() for p in module.parameters(recurse=False))
                for module in model.modules()
                if type(module).__name__.endswith("Norm")
            ),
        )
