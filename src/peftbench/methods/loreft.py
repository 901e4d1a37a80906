"""LoReFT: hidden states are edited in a learned low-rank subspace."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from peftbench.errors import ModelError
from peftbench.methods._method import Family
from peftbench.methods._native.method import NativeMethod
from peftbench.methods._settings import check_whole

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from peftbench.methods._native.part import Part
    from peftbench.models._shapes import Shapes


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

    rank: int = 8

    family: ClassVar[Family] = "adapter"
    placement: ClassVar[str] = "after every block"
    paper: ClassVar[str] = "Wu et al., 2024, arXiv:2404.03592"
    defaults_from: ClassVar[str] = (
        "rank 8 in all layers: Wu et al. for commonsense reasoning and arithmetic"
    )
    identity_at_start: ClassVar[bool] = False  # W h + b is not R h
    mergeable: ClassVar[bool] = False
    budget_knob: ClassVar[str | None] = "rank"
    #: Wu et al., table 7: 9e-4 for reasoning with LLaMA.
    training: ClassVar[Mapping[str, Any]] = {"learning_rate": 9e-4}

    def __post_init__(self) -> None:
        check_whole("LoReFT", "rank", self.rank, "try 2 to 32")

    def trainable_parameters(self, shapes: Shapes) -> int:
        """``rank * (2 * hidden + 1)`` per block."""
        return self.rank * (2 * shapes.hidden_size + 1) * shapes.num_layers

    def parts(self, model: PreTrainedModel, found: Mapping[str, Any]) -> Mapping[str, Part]:  # noqa: ARG002
        """See `NativeMethod.parts`."""
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
