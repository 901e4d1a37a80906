"""WaveFT: the update is the wavelet transform of a few coefficients."""

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
class Waveft(LinearMethod):
    """Sparse wavelet coefficients (Bilican et al., 2025, arXiv:2505.12532).

    Computes ``W x + scaling * D^-1(S) x`` with W: (d_out, d_in), frozen, D^-1 the inverse
    discrete wavelet transform (Haar), and S: (d_out, d_in), zero but for num_frequencies
    entries at random places, which start at zero.
    Trains ``num_frequencies`` parameters per layer, at most as many as its weight has.
    """

    num_frequencies: int = 2592
    scaling: float = 25.0

    title: ClassVar[str] = "WaveFT"
    tuner: ClassVar[str] = "WaveFTConfig"
    family: ClassVar[Family] = "reparameterised"
    paper: ClassVar[str] = "Bilican et al., 2025, arXiv:2505.12532"
    defaults_from: ClassVar[str] = "peft: 2592 coefficients, scaling 25, Haar wavelets"
    identity_at_start: ClassVar[bool] = True
    mergeable: ClassVar[bool] = True
    budget_knob: ClassVar[str | None] = "num_frequencies"
    #: huggingface/peft, method_comparison/MetaMathQA, waveft on Llama-3.2-3B.
    training: ClassVar[Mapping[str, Any]] = {"learning_rate": 1e-4}

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole(self.title, "num_frequencies", self.num_frequencies, "try 500 to 5000")
        scaling = positive(self.title, "scaling", self.scaling, "try 10 to 50")
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


METHOD = Waveft
