"""P-tuning v2: keys and values of virtual tokens in every layer, trained outright."""

from __future__ import annotations

from dataclasses import dataclass

from peftbench.methods._method import PeftMethod
from peftbench.methods._settings import whole
from peftbench.models import Shapes


@dataclass(frozen=True, kw_only=True)
class PTuningV2(PeftMethod):
    """Deep prompts without a network (Liu et al., 2021, arXiv:2110.07602).

    Attends to ``[K_p; K]`` and ``[V_p; V]`` in every layer, with K_p and V_p:
    (num_virtual_tokens, kv_dim) trained themselves; `prefix-tuning` computes them by a network.
    Trains ``2 * layers * num_virtual_tokens * kv_dim`` parameters. Does not go together with
    gradient checkpointing, since the prefix lives in the cache.
    """

    num_virtual_tokens: int = whole(20, peft="num_virtual_tokens", hint="try 10 to 100")

    title = "P-tuning v2"
    tuner = "PrefixTuningConfig"
    family = "soft prompt"
    placement = "keys and values of every layer"
    paper = "Liu et al., 2021, arXiv:2110.07602"
    defaults_from = "Liu et al.: about 20 tokens for simple classification"
    identity_at_start = False  # the prefix is attended to
    mergeable = False
    recomputes = False  # the prefix lives in the cache
    budget_knob = "num_virtual_tokens"
    #: The lowest that Liu et al. search: 5e-3, 7e-3 and 1e-2.
    training = {"learning_rate": 5e-3}

    def trainable_parameters(self, shapes: Shapes) -> int:
        return 2 * shapes.num_layers * self.num_virtual_tokens * shapes.kv_dim


METHOD = PTuningV2
