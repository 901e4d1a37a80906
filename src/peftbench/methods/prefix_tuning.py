"""Prefix tuning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from peftbench.methods._method import Family, PeftMethod, check_positive

if TYPE_CHECKING:
    from peft import PeftConfig
    from transformers import PreTrainedModel

    from peftbench.models._shapes import Shapes


@dataclass(frozen=True, kw_only=True)
class PrefixTuning(PeftMethod):
    """Trained keys and values before those of the input, in every layer
    (Li and Liang, 2021, arXiv:2101.00190).

    ``K <- [P_k; K]``, ``V <- [P_v; V]`` with P: (num_virtual_tokens, 2 * layers * kv_dim).
    With `projection_hidden_size` P is computed from smaller embeddings by an MLP
    hidden_size -> projection -> 2 * layers * kv_dim while training (the paper's
    reparameterisation); only P is stored.
    """

    num_virtual_tokens: int = 20
    #: Width of the MLP; null trains P directly (P-tuning v2, arXiv:2110.07602).
    projection_hidden_size: int | None = None

    family: ClassVar[Family] = "soft prompt"
    paper: ClassVar[str] = "Li and Liang, 2021, arXiv:2101.00190"
    defaults_from: ClassVar[str] = (
        "no reparameterisation and rate 5e-3: Liu et al., 2021, arXiv:2110.07602, table 3 "
        "and section 4"
    )
    identity_at_start: ClassVar[bool] = False  # attention also goes to the prefix
    mergeable: ClassVar[bool] = False
    training: ClassVar[Mapping[str, Any]] = {"learning_rate": 5e-3}

    def __post_init__(self) -> None:
        check_positive("Prefix tuning", num_virtual_tokens=self.num_virtual_tokens)
        if self.projection_hidden_size is not None:
            check_positive(
                "Prefix tuning", projection_hidden_size=self.projection_hidden_size
            )

    def trainable_parameters(self, shapes: Shapes) -> int:
        """P itself, or the smaller embeddings and the MLP that make it."""
        width = 2 * shapes.num_layers * shapes.kv_dim
        if self.projection_hidden_size is None:
            return self.num_virtual_tokens * width
        token, projection = shapes.kv_dim, self.projection_hidden_size
        embeddings = self.num_virtual_tokens * token
        return embeddings + token * projection + projection + projection * width + width

    def config(self, model: PreTrainedModel) -> PeftConfig:  # noqa: ARG002
        """See `PeftMethod.config`."""
        import peft

        return peft.PrefixTuningConfig(
            task_type="CAUSAL_LM",
            num_virtual_tokens=self.num_virtual_tokens,
            prefix_projection=self.projection_hidden_size is not None,
            encoder_hidden_size=self.projection_hidden_size,
        )


METHOD = PrefixTuning
