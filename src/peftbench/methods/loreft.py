"""LoReFT: hidden states are edited in a learned low-rank subspace."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from peftbench.errors import ModelError
from peftbench.methods._native.method import NativeMethod
from peftbench.methods._settings import whole
from peftbench.models import Shapes

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from peftbench.methods._native.part import Part


@dataclass(frozen=True, kw_only=True)
class Loreft(NativeMethod):
    """Low-rank linear subspace ReFT (Wu et al., 2024, arXiv:2404.03592).

    Computes ``h + R^T (W h + b - R h)`` with h: (hidden,), what a block returns;
    R: (rank, hidden), its rows orthonormal; W: (rank, hidden) and b: (rank,), random.
    In the subspace of R, h becomes W h + b; outside of it, h stays.
    Trains ``rank * (2 * hidden + 1)`` parameters per block.

    The paper edits the first and last tokens of a prompt, a setting searched per task. Which
    tokens are last is not known in a causal pass, so every position is edited here, when
    training and when writing.
    """

    rank: int = whole(8, hint="try 2 to 32")

    title = "LoReFT"
    family = "adapter"
    placement = "after every block"
    paper = "Wu et al., 2024, arXiv:2404.03592"
    defaults_from = (
        "rank 8 in all layers: Wu et al. for commonsense reasoning and arithmetic"
    )
    identity_at_start = False  # W h + b is not R h
    mergeable = False
    budget_knob = "rank"
    #: Wu et al., table 7: 9e-4 for reasoning with LLaMA.
    training = {"learning_rate": 9e-4}

    def trainable_parameters(self, shapes: Shapes) -> int:
        return self.rank * (2 * shapes.hidden_size + 1) * shapes.num_layers

    def parts(self, model: PreTrainedModel, found: Mapping[str, Any]) -> Mapping[str, Part]:
        from peftbench.methods._native.places import Places
        from peftbench.methods._native.reft import LowRankIntervention

        width = model.config.hidden_size
        if self.rank > width:
            raise ModelError(
                f"LoReFT: no {self.rank} orthonormal rows fit into a hidden state of {width}; "
                f"choose a rank of at most {width}."
            )
        blocks = Places.of(model).blocks
        return {block.name: LowRankIntervention(width, self.rank) for block in blocks}


METHOD = Loreft
