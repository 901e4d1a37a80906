"""FourierFT: the update is the Fourier transform of a few coefficients."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from peftbench.methods._linear import LinearMethod
from peftbench.methods._method import Family
from peftbench.methods._settings import check_whole, positive

if TYPE_CHECKING:
    from peftbench.models._shapes import Linear, Shapes


@dataclass(frozen=True, kw_only=True)
class Fourierft(LinearMethod):
    """Sparse spectra (Gao et al., 2024, arXiv:2405.03003).

    Computes ``W x + scaling * Re(F^-1(S)) x`` with W: (d_out, d_in), frozen, and S: (d_out,
    d_in), zero but for num_frequencies entries at random places, the same in layers of one
    shape; they start normally distributed.
    Trains ``num_frequencies`` parameters per layer, at most as many as its weight has.
    """

    num_frequencies: int = 1000
    scaling: float = 150.0

    title: ClassVar[str] = "FourierFT"
    tuner: ClassVar[str] = "FourierFTConfig"
    family: ClassVar[Family] = "reparameterised"
    paper: ClassVar[str] = "Gao et al., 2024, arXiv:2405.03003"
    defaults_from: ClassVar[str] = "Gao et al.: 1000 coefficients; scaling 150: peft"
    identity_at_start: ClassVar[bool] = False  # the coefficients start at random
    mergeable: ClassVar[bool] = True
    budget_knob: ClassVar[str | None] = "num_frequencies"
    #: Ours: the lower end of what Gao et al. use (3e-3 to 1e-1, by model and task).
    training: ClassVar[Mapping[str, Any]] = {"learning_rate": 3e-3}

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole(self.title, "num_frequencies", self.num_frequencies, "try 200 to 5000")
        scaling = positive(self.title, "scaling", self.scaling, "try 100 to 300")
        object.__setattr__(self, "scaling", scaling)

    def layer_parameters(self, layer: Linear, shapes: Shapes) -> int:  # noqa: ARG002
        """See the class."""
        return min(self.num_frequencies, self.smallest(shapes))

    def settings(self, shapes: Shapes) -> dict[str, Any]:
        """See `LinearMethod.settings`."""
        return {
            "n_frequency": min(self.num_frequencies, self.smallest(shapes)),
            "scaling": self.scaling,
        }

    def smallest(self, shapes: Shapes) -> int:
        """Entries of the smallest target: no layer can have more coefficients."""
        return min(layer.d_in * layer.d_out for layer in self.layers(shapes))


METHOD = Fourierft
