"""SVFT: singular values are trained, and how singular vectors mix."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from peftbench.errors import InvalidSpec
from peftbench.methods._native.method import NativeMethod
from peftbench.methods._settings import linear_layers, targeted, whole
from peftbench.models import Shapes

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from peftbench.methods._native.part import Part


@dataclass(frozen=True, kw_only=True)
class Svft(NativeMethod):
    """Singular vectors guided fine-tuning (Lingam et al., 2024, arXiv:2405.19597).

    Computes ``U (S + M) V^T x`` with W = U S V^T: (d_out, d_in), the decomposition of the
    base's weight, frozen; M: (k, k) with k = min(d_out, d_in), zero but for its main
    diagonal and the next ``diagonals - 1`` on each side of it, which are trained from zero.
    Trains ``k`` parameters per layer, and ``2 * (k - j)`` more for the j-th pair beside the
    main diagonal.

    Only M is saved: U and V are computed again from the base. Attaching decomposes every
    target, minutes for a model of billions of parameters, and keeps U and V in memory.
    """

    diagonals: int = whole(1, hint="1 trains singular values alone, more mix their vectors")
    target_modules: str | tuple[str, ...] = linear_layers()

    title = "SVFT"
    family = "reparameterised"
    placement = "linear layers of the blocks"
    paper = "Lingam et al., 2024, arXiv:2405.19597"
    defaults_from = "Lingam et al.: SVFT with a plain diagonal, all linear layers"
    identity_at_start = True  # because M is zero
    mergeable = True
    budget_knob = "diagonals"
    #: Lingam et al., for the plain variant on Gemma and LLaMA: 5e-2.
    training = {"learning_rate": 5e-2}

    def trainable_parameters(self, shapes: Shapes) -> int:
        """The entries of the diagonals of every target."""
        total = 0
        for layer in targeted(self.title, shapes, self.target_modules):
            k = min(layer.d_in, layer.d_out)
            self._check(k)
            total += k + sum(2 * (k - j) for j in range(1, self.diagonals))
        return total

    def parts(self, model: PreTrainedModel, found: Mapping[str, Any]) -> Mapping[str, Part]:
        from peftbench.methods._native import linear
        from peftbench.methods._native.places import Places
        from peftbench.methods._native.spectral import SpectralUpdate

        layers = Places.of(model).linears(self.target_modules)
        for layer in layers.values():
            self._check(min(linear.size_of(layer)))
        return {n: SpectralUpdate(layer, self.diagonals - 1) for n, layer in layers.items()}

    def _check(self, k: int) -> None:
        if self.diagonals > k:
            raise InvalidSpec(
                f"SVFT: the core of a layer with {k} singular values has {k} diagonals from "
                f"the middle to the corner, {self.diagonals} are wanted; lower diagonals."
            )


METHOD = Svft
