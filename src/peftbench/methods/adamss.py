"""AdaMSS: a weight's principal space is cut into subspaces, each with a small update."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from peftbench.methods._linear import NOT_LINEAR, LinearMethod
from peftbench.methods._method import Family
from peftbench.methods._settings import check_whole

if TYPE_CHECKING:
    from peftbench.models._shapes import Linear, Shapes


@dataclass(frozen=True, kw_only=True)
class Adamss(LinearMethod):
    """Adaptive multi-subspace adaptation (Zheng et al., 2025, NeurIPS).

    The rows of the leading `rank` singular directions of W: (d_out, d_in) are clustered into
    num_subspaces groups. Computes ``(W + [B_1 A_1; ...; B_K A_K] V) x`` with V: (rank, d_in),
    frozen, and for each group k of n_k rows B_k: (n_k, subspace_rank), A_k: (subspace_rank,
    rank); one of them starts at zero.
    Trains ``subspace_rank * (num_subspaces * rank + d_out)`` parameters per layer, rank at most
    the smallest width. Saved is V too, ``rank * d_in`` numbers (d_in + 1 where there is a
    bias).
    """

    rank: int = 100
    num_subspaces: int = 5
    subspace_rank: int = 1

    title: ClassVar[str] = "AdaMSS"
    tuner: ClassVar[str] = "AdamssConfig"
    family: ClassVar[Family] = "reparameterised"
    paper: ClassVar[str] = "Zheng et al., 2025, NeurIPS"
    defaults_from: ClassVar[str] = (
        "peft: rank 100, 5 subspaces of rank 1, no adaptive choice among them"
    )
    identity_at_start: ClassVar[bool] = True
    mergeable: ClassVar[bool] = True
    budget_knob: ClassVar[str | None] = "rank"
    unsupported: ClassVar[Mapping[str, str]] = NOT_LINEAR
    #: huggingface/peft, method_comparison/MetaMathQA, adamss on Llama-3.2-3B.
    training: ClassVar[Mapping[str, Any]] = {"learning_rate": 1e-4}

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole(self.title, "rank", self.rank, "try 100 to 500")
        check_whole(self.title, "num_subspaces", self.num_subspaces, "try 5 to 10")
        check_whole(self.title, "subspace_rank", self.subspace_rank, "try 1 to 3")

    def layer_parameters(self, layer: Linear, shapes: Shapes) -> int:
        """See the class."""
        per_subspace = self.num_subspaces * min(self.rank, self.narrowest(shapes))
        return self.subspace_rank * (per_subspace + layer.d_out)

    def stored_parameters(self, shapes: Shapes) -> int:
        """See the class."""
        rank = min(self.rank, self.narrowest(shapes))
        bases = sum(rank * (layer.d_in + layer.has_bias) for layer in self.layers(shapes))
        return self.trainable_parameters(shapes) + bases

    def settings(self, shapes: Shapes) -> dict[str, Any]:
        """See `LinearMethod.settings`."""
        return {
            "r": min(self.rank, self.narrowest(shapes)),
            "num_subspaces": self.num_subspaces,
            "subspace_rank": self.subspace_rank,
        }


METHOD = Adamss
