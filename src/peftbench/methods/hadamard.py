"""Hadamard adapter: what attention returns is scaled and shifted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from peftbench.methods._method import Family
from peftbench.methods._native.method import NativeMethod

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from peftbench.methods._native.part import Part
    from peftbench.models._shapes import Shapes


@dataclass(frozen=True, kw_only=True)
class Hadamard(NativeMethod):
    """Element-wise linear map of attention's output (Chen et al., 2023, arXiv:2407.11033).

    Computes ``w * a + b`` with a: (hidden,), the output of the attention module, its output
    projection included; w: (hidden,), one at the start; b: (hidden,), zero at the start.
    Folds into the output projection.
    Trains ``2 * hidden`` parameters per block. The paper trains normalisation layers beside
    it; combine with `ln-tuning` for that.
    """

    family: ClassVar[Family] = "adapter"
    placement: ClassVar[str] = "after the attention of every block"
    paper: ClassVar[str] = "Chen et al., 2023, arXiv:2407.11033"
    defaults_from: ClassVar[str] = "no settings"
    identity_at_start: ClassVar[bool] = True
    mergeable: ClassVar[bool] = True
    budget_knob: ClassVar[str | None] = None
    #: Ours, that of `ssf`, the same map in more places.
    training: ClassVar[Mapping[str, Any]] = {"learning_rate": 1e-3}

    def trainable_parameters(self, shapes: Shapes) -> int:
        """``2 * hidden`` per block."""
        return 2 * shapes.hidden_size * shapes.num_layers

    def parts(self, model: PreTrainedModel, found: Mapping[str, Any]) -> Mapping[str, Part]:  # noqa: ARG002
        """See `NativeMethod.parts`."""
        from peftbench.methods._native.places import Places
        from peftbench.methods._native.vectors import ScaleShift

        width = model.config.hidden_size
        blocks = Places.of(model).blocks
        return {block.attention_out: ScaleShift(width) for block in blocks}


METHOD = Hadamard
