"""Super-Tuning: the largest entries of a weight are trained."""

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
class SuperTuning(LinearMethod):
    """Weights of the largest magnitude (Super-Tuning, 2026, arXiv:2607.09287).

    Computes ``(W + S) x`` with W: (d_out, d_in), frozen, and S: (d_out, d_in), zero but where
    |W| is among the largest ``1 - sparsity`` of its entries; those start at zero and are
    trained.
    Trains ``floor((1 - sparsity) * d_in * d_out)`` parameters per layer. Saved are their places
    too.
    """

    sparsity: float = 0.99

    title: ClassVar[str] = "Super-Tuning"
    tuner: ClassVar[str] = "SupertuningConfig"
    family: ClassVar[Family] = "selective"
    paper: ClassVar[str] = "Super-Tuning, 2026, arXiv:2607.09287"
    defaults_from: ClassVar[str] = (
        "sparsity 0.99, magnitude: peft and the paper's best setting"
    )
    identity_at_start: ClassVar[bool] = True
    mergeable: ClassVar[bool] = True
    budget_knob: ClassVar[str | None] = None
    unsupported: ClassVar[Mapping[str, str]] = NOT_LINEAR
    #: That of SHiRA, which trains single entries too.
    training: ClassVar[Mapping[str, Any]] = {"learning_rate": 3e-4}

    def __post_init__(self) -> None:
        super().__post_init__()
        sparsity = fraction(self.title, "sparsity", self.sparsity)
        object.__setattr__(self, "sparsity", sparsity)

    def layer_parameters(self, layer: Linear, shapes: Shapes) -> int:  # noqa: ARG002
        """See the class."""
        return int(layer.d_in * layer.d_out * (1 - self.sparsity))

    def stored_parameters(self, shapes: Shapes) -> int:
        """See the class."""
        return 2 * self.trainable_parameters(shapes)

    def settings(self, shapes: Shapes) -> dict[str, Any]:  # noqa: ARG002
        """See `LinearMethod.settings`."""
        return {"sparsity": self.sparsity}


METHOD = SuperTuning
