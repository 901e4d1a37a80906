"""Cartridge: a trained cache of keys and values that starts from the data's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from peftbench.methods._calibrate import tokens
from peftbench.methods._method import PeftMethod
from peftbench.methods._settings import whole
from peftbench.models import Shapes

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel

    from peftbench.methods._hook import RunContext


@dataclass(frozen=True, kw_only=True)
class Cartridge(PeftMethod):
    """A trained cache (Eyuboglu et al., 2025, arXiv:2506.06266).

    Attends to ``[K_p; K]`` and ``[V_p; V]`` in every layer, with K_p and V_p:
    (num_virtual_tokens, kv_dim). They start as what the base model computes for the first
    num_virtual_tokens tokens of the training data; those of the first token, where
    attention rests, stay so. Trained here on the task itself, not by the paper's self-study.
    Trains ``2 * layers * (num_virtual_tokens - 1) * kv_dim`` parameters; saved are all tokens.
    `attach`, which sees no data, starts at random. Does not go together with gradient
    checkpointing, since the cartridge lives in the cache.
    """

    num_virtual_tokens: int = whole(64, peft="num_virtual_tokens", hint="try 64")

    title = "Cartridge"
    tuner = "CartridgeConfig"
    fixed = {"num_frozen_tokens": 1}
    family = "soft prompt"
    placement = "keys and values of every layer"
    paper = "Eyuboglu et al., 2025, arXiv:2506.06266"
    defaults_from = (
        "start and frozen first token: Eyuboglu et al.; 64 tokens are ours, theirs hold "
        "a corpus in 128 to 8192"
    )
    identity_at_start = False  # the cartridge is attended to
    mergeable = False
    recomputes = False  # the cartridge lives in the cache
    budget_knob = "num_virtual_tokens"
    #: Ours, that of `p-tuning-v2`, whose parameters these are, but from a better start.
    training = {"learning_rate": 5e-3}

    def trainable_parameters(self, shapes: Shapes) -> int:
        return 2 * shapes.num_layers * (self.num_virtual_tokens - 1) * shapes.kv_dim

    def stored_parameters(self, shapes: Shapes) -> int:
        """The frozen token too."""
        return 2 * shapes.num_layers * self.num_virtual_tokens * shapes.kv_dim

    def attach_for(self, model: PreTrainedModel, context: RunContext) -> nn.Module:
        """With the start from the data."""
        import torch
        from peft.tuners.cartridge.utils import initialize_kv_prefix_from_past_key_values

        ids, _ = tokens(context, self.num_virtual_tokens)
        mode = model.training
        with torch.no_grad():
            cache = model.eval()(
                input_ids=ids[None].to(model.device), use_cache=True
            ).past_key_values
        model.train(mode)
        adapted = self.attach(model)
        initialize_kv_prefix_from_past_key_values(adapted, past_key_values=cache)
        return adapted


METHOD = Cartridge
