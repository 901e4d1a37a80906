"""P-tuning v2: keys and values of virtual tokens in every layer, trained outright."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from peftbench.methods._method import Family, PeftMethod
from peftbench.methods._settings import check_whole

if TYPE_CHECKING:
    from peft import PeftConfig
    from transformers import PreTrainedModel

    from peftbench.models._shapes import Shapes


@dataclass(frozen=True, kw_only=True)
class PTuningV2(PeftMethod):
    """Deep prompts without a network (Liu et al., 2021, arXiv:2110.07602).

    Attends to ``[K_p; K]`` and ``[V_p; V]`` in every layer, with K_p and V_p:
    (num_virtual_tokens, kv_dim) trained themselves; `prefix-tuning` computes them by a network.
    Trains ``2 * layers * num_virtual_tokens * kv_dim`` parameters. Does not go together with
    gradient checkpointing, since the prefix lives in the cache.
    """

    num_virtual_tokens: int = 20

    family: ClassVar[Family] = "soft prompt"
    placement: ClassVar[str] = "keys and values of every layer"
    paper: ClassVar[str] = "Liu et al., 2021, arXiv:2110.07602"
    defaults_from: ClassVar[str] = "Liu et al.: about 20 tokens for simple classification"
    identity_at_start: ClassVar[bool] = False  # the prefix is attended to
    mergeable: ClassVar[bool] = False
    budget_knob: ClassVar[str | None] = "num_virtual_tokens"
    #: The lowest that Liu et al. search: 5e-3, 7e-3 and 1e-2.
    training: ClassVar[Mapping[str, Any]] = {"learning_rate": 5e-3}

    def __post_init__(self) -> None:
        hint = "try 10 to 100"
        check_whole("P-tuning v2", "num_virtual_tokens", self.num_virtual_tokens, hint)

    def trainable_parameters(self, shapes: Shapes) -> int:
        """See the class."""
        return 2 * shapes.num_layers * self.num_virtual_tokens * shapes.kv_dim

    def config(self, model: PreTrainedModel) -> PeftConfig:  # noqa: ARG002
        """See `PeftMethod.config`."""
        import peft

        return peft.PrefixTuningConfig(
            task_type="CAUSAL_LM", num_virtual_tokens=self.num_virtual_tokens
        )


METHOD = PTuningV2
