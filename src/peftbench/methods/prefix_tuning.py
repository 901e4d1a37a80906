"""Prefix tuning: trained keys and values before those of every layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from peftbench.methods._method import PeftMethod
from peftbench.methods._settings import whole
from peftbench.models import Shapes


@dataclass(frozen=True, kw_only=True)
class PrefixTuning(PeftMethod):
    """Trained keys and values in every layer (Li and Liang, 2021, arXiv:2101.00190).

    Attends to ``[K_p; K]`` and ``[V_p; V]`` with K_p, V_p: (num_virtual_tokens, kv_dim) of
    each layer. With n = num_virtual_tokens, L = layers, k = kv_dim and p = projection_size,
    they are n rows of ``2 L k`` numbers, computed as ``W2 tanh(W1 P + b1) + b2`` from
    P: (n, k), which trains ``n k + (k p + p) + (2 L k p + 2 L k)`` parameters; with
    projection_size null they are trained outright (P-tuning v2, Liu et al., 2021,
    arXiv:2110.07602), ``2 n L k`` parameters.
    Saved are the keys and values only, ``2 n L k`` numbers. The logits of an adapted model
    have no positions more. Does not go together with gradient checkpointing, since the
    prefix lives in the cache.
    """

    num_virtual_tokens: int = whole(32, peft="num_virtual_tokens", hint="try 10 to 100")
    projection_size: int | None = whole(
        512,
        peft="encoder_hidden_size",
        or_null=True,
        hint="try 512, or null to train keys and values outright",
    )

    title = "Prefix tuning"
    tuner = "PrefixTuningConfig"
    family = "soft prompt"
    placement = "before the keys and values of every layer"
    paper = "Li and Liang, 2021, arXiv:2101.00190"
    defaults_from = (
        "projection of 512: Li and Liang, table-to-text; 32 tokens: Belanec et al., 2025, "
        "arXiv:2511.21285"
    )
    identity_at_start = False  # the prefix is attended to
    mergeable = False
    recomputes = False  # its prefix lives in the cache
    budget_knob = "projection_size"
    training = {"learning_rate": 1e-3}

    def trainable_parameters(self, shapes: Shapes) -> int:
        if self.projection_size is None:
            return self.stored_parameters(shapes)
        n, k, p = self.num_virtual_tokens, shapes.kv_dim, self.projection_size
        outputs = 2 * shapes.num_layers * k
        return n * k + (k * p + p) + (outputs * p + outputs)

    def stored_parameters(self, shapes: Shapes) -> int:
        """Keys and values of every virtual token and layer."""
        return self.num_virtual_tokens * 2 * shapes.num_layers * shapes.kv_dim

    def peft_fields(self, shapes: Shapes) -> dict[str, Any]:
        projects = self.projection_size is not None
        return super().peft_fields(shapes) | {"prefix_projection": projects}


METHOD = PrefixTuning
