"""OSF: only the minor singular directions of a weight are trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from peftbench.methods._linear import NOT_LINEAR, LinearMethod
from peftbench.methods._method import Family
from peftbench.methods._settings import fraction

if TYPE_CHECKING:
    from peftbench.models._shapes import Linear, Shapes


@dataclass(frozen=True, kw_only=True)
class Osf(LinearMethod):
    """Orthogonal subspace fine-tuning (Nayak et al., 2025, arXiv:2504.07097).

    Splits W: (d_out, d_in) by its singular values into the leading part, frozen, and the rest,
    ``U diag(s) V`` with U: (d_out, k), s: (k,), V: (k, d_in) trained. Gradients are projected
    so that they stay orthogonal to what is frozen: old knowledge is kept. The leading part is
    the given fraction of the m = min(d_in, d_out) directions, rounded down, and k are the
    others.
    Trains ``k * (d_in + d_out + 1)`` parameters per layer: not few.
    """

    preserved_fraction: float = 0.5

    title: ClassVar[str] = "OSF"
    tuner: ClassVar[str] = "OSFConfig"
    family: ClassVar[Family] = "reparameterised"
    paper: ClassVar[str] = "Nayak et al., 2025, arXiv:2504.07097"
    defaults_from: ClassVar[str] = "half of the directions: peft and the paper"
    identity_at_start: ClassVar[bool] = True
    mergeable: ClassVar[bool] = True
    budget_knob: ClassVar[str | None] = None
    unsupported: ClassVar[Mapping[str, str]] = NOT_LINEAR
    #: huggingface/peft, method_comparison/MetaMathQA, osf on Llama-3.2-3B.
    training: ClassVar[Mapping[str, Any]] = {"learning_rate": 5e-5}

    def __post_init__(self) -> None:
        super().__post_init__()
        preserved_fraction = fraction(
            self.title, "preserved_fraction", self.preserved_fraction
        )
        object.__setattr__(self, "preserved_fraction", preserved_fraction)

    def layer_parameters(self, layer: Linear, shapes: Shapes) -> int:  # noqa: ARG002
        """See the class."""
        directions = min(layer.d_in, layer.d_out)
        trained = directions - max(1, int(directions * self.preserved_fraction))
        return trained * (layer.d_in + layer.d_out + 1)

    def settings(self, shapes: Shapes) -> dict[str, Any]:  # noqa: ARG002
        """See `LinearMethod.settings`."""
        return {"effective_rank": self.preserved_fraction}


METHOD = Osf
