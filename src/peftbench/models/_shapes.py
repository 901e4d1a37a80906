"""The shapes of a base model: what closed-form parameter counts are computed from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from peftbench.errors import ModelError

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel


#: Fields of a config that say how many experts there are.
_EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts")


@dataclass(frozen=True)
class Linear:
    """One linear layer: y = W x (+ b), with W of shape (d_out, d_in).

    A transposed one keeps W as (d_in, d_out), as the `Conv1D` of GPT-2 does.
    """

    name: str  # as in the model: "model.layers.0.self_attn.q_proj"
    d_in: int
    d_out: int
    has_bias: bool
    is_transposed: bool = False

    @property
    def leaf(self) -> str:
        """The last part of the name: "q_proj"."""
        return self.name.rpartition(".")[2]

    @property
    def parameters(self) -> int:
        """Scalars of weight and bias."""
        return self.d_in * self.d_out + self.d_out * self.has_bias


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
    #: What they were read from, for what cannot be told from shapes; None: made by hand.
    config: Mapping[str, Any] | None = field(default=None, compare=False, repr=False)

    @property
    def kv_dim(self) -> int:
        """Width of the keys (and of the values) of one layer."""
        return self.num_kv_heads * self.head_dim

    @property
    def has_experts(self) -> bool:
        """Whether tokens are sent to some of several feed-forward networks."""
        return any((self.config or {}).get(name) for name in _EXPERTS)

    def called(self, leaf: str) -> tuple[Linear, ...]:
        """The linear layers whose name ends in `leaf`, such as "v_proj"."""
        return tuple(linear for linear in self.linears if linear.leaf == leaf)

    @classmethod
    def of(cls, model: PreTrainedModel) -> Shapes:
        """Read the shapes off `model`, which may be on the meta device."""
        from torch import nn
        from transformers.pytorch_utils import Conv1D

        def linear(name: str, module: nn.Module) -> Linear | None:
            if isinstance(module, nn.Linear):
                sizes = module.in_features, module.out_features
            elif isinstance(module, Conv1D):
                sizes = module.nx, module.nf
            else:
                return None
            return Linear(name, *sizes, module.bias is not None, isinstance(module, Conv1D))

        config = model.config
        head = model.get_output_embeddings()
        heads = (
            getattr(config, "num_attention_heads", None) or 0
        )  # recurrent ones have none
        return cls(
            model_type=config.model_type,
            vocab_size=config.vocab_size,
            hidden_size=config.hidden_size,
            num_layers=config.num_hidden_layers,
            num_heads=heads,
            num_kv_heads=getattr(config, "num_key_value_heads", None) or heads,
            head_dim=getattr(config, "head_dim", None)
            or (config.hidden_size // heads if heads else 0),
            parameters=sum(p.numel() for p in model.parameters()),
            linears=tuple(
                found
                for name, module in model.named_modules()
                if module is not head and (found := linear(name, module))
            ),
            norms=tuple(
                sum(p.numel() for p in module.parameters(recurse=False))
                for module in model.modules()
                if type(module).__name__.endswith("Norm")
            ),
            config=config.to_dict(),
        )

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Shapes:
        """Compute the shapes from a config.json, without torch.

        Knows Llama and its relatives (see `_layouts.py`), GPT-2 and GPT-NeoX; raises
        `ModelError` for other model types, which `from_meta_model` can measure.
        """
        from peftbench.models import _layouts

        return replace(_layouts.shapes_of(config), config=config)

    @classmethod
    def from_meta_model(cls, config: Mapping[str, Any]) -> Shapes:
        """Measure the shapes on a model built without weights: any causal model type.

        Imports torch and transformers, and takes a second or two. Raises `ModelError` for
        a type that transformers does not know.
        """
        return cls.of(meta_model(config))


def meta_model(
    config: Mapping[str, Any], dtype: torch.dtype | None = None
) -> PreTrainedModel:
    """A model of this config without weights, in the precision that it states or in another;
    raises `ModelError`, see `from_meta_model`."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    try:
        built = AutoConfig.for_model(**config)
        with torch.device("meta"):
            model: PreTrainedModel = AutoModelForCausalLM.from_config(
                built, dtype=dtype or built.dtype
            )
    except (ValueError, TypeError, KeyError) as error:
        raise ModelError(
            f"transformers builds no causal language model of type "
            f"{config.get('model_type')!r} from this config: {error}"
        ) from error
    return model
