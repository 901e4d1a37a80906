"""PVeRA: VeRA with scales that are drawn, not fixed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from peftbench.methods._linear import LinearMethod
from peftbench.methods._method import Family
from peftbench.methods._settings import check_whole

if TYPE_CHECKING:
    from peftbench.models._shapes import Linear, Shapes


@dataclass(frozen=True, kw_only=True)
class Pvera(LinearMethod):
    """Probabilistic VeRA (Fillioux et al., 2025, arXiv:2512.07703).

    Computes ``W x + diag(b) B z(A x)`` with W, A and B frozen, as in VeRA, and z: (rank,) drawn
    in training from a normal distribution whose mean and variance are d-scaled parts of A x: (2
    * rank,); in evaluation z is the mean. d: (2 * rank,), b: (d_out,), zero at the start.
    Trains ``2 * rank + d_out`` parameters per layer.
    """

    rank: int = 256

    title: ClassVar[str] = "PVeRA"
    tuner: ClassVar[str] = "PveraConfig"
    family: ClassVar[Family] = "reparameterised"
    paper: ClassVar[str] = "Fillioux et al., 2025, arXiv:2512.07703"
    defaults_from: ClassVar[str] = "peft: rank 256, d = 0.1, the mean in evaluation"
    identity_at_start: ClassVar[bool] = True
    mergeable: ClassVar[bool] = True
    budget_knob: ClassVar[str | None] = "rank"
    #: That of VeRA, whose parameters these are (Kopiczko et al., 2023).
    training: ClassVar[Mapping[str, Any]] = {"learning_rate": 4e-3}

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole(self.title, "rank", self.rank, "try 64 to 1024")

    def layer_parameters(self, layer: Linear, shapes: Shapes) -> int:  # noqa: ARG002
        """See the class."""
        return 2 * self.rank + layer.d_out

    def settings(self, shapes: Shapes) -> dict[str, Any]:  # noqa: ARG002
        """See `LinearMethod.settings`."""
        return {"r": self.rank, "save_projection": False}


METHOD = Pvera
