"""LST: a small network beside the base learns; the base runs forward alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from peftbench.methods._native.method import NativeMethod
from peftbench.methods._settings import whole
from peftbench.models import Shapes

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from peftbench.methods._native.part import Part


@dataclass(frozen=True, kw_only=True)
class Lst(NativeMethod):
    """Ladder side tuning (Sung et al., 2022, arXiv:2206.06522).

    Beside every block of the base runs a small one, of width w = side_width:
    ``s <- side(m * D h + (1 - m) * s)`` with h: (hidden,), what the base's block returns;
    D: (w, hidden), random; m = sigmoid(alpha / 0.1), alpha a scalar, zero at the start;
    side: a transformer block, attention with up to 4 heads and a feed-forward network of 4 w,
    pre-normalised.
    Below the first, ``s = D0 x`` with x the embedded input. Above the last, the output layer
    reads ``norm(h) + U norm(s)`` with U: (hidden, w), zero at the start.
    Trains ``(12 w^2 + w * hidden + 4 w + 1) * layers + 2 w * hidden + 2 w`` parameters.

    No gradient passes the base, so none of its activations is kept. Its keys and values stay
    in the model's own cache, behind those of the base. The paper's start from a pruned base
    is left out; that h joins at the top is what makes the start an identity, and after Zhang
    et al., 2024 (QST, arXiv:2401.07159).
    """

    side_width: int = whole(64, hint="try 32 to 512")

    title = "LST"
    family = "side"
    placement = "a network beside the blocks"
    paper = "Sung et al., 2022, arXiv:2206.06522"
    defaults_from = (
        "Sung et al. divide the width by 8, which is 96 on T5 base; 64 is ours, near the other "
        "adapters' sizes"
    )
    identity_at_start = True  # because U is zero
    mergeable = False
    needs_backward_through_base = False
    budget_knob = "side_width"
    #: Sung et al., section 4.2, on GLUE with T5: 3e-3.
    training = {"learning_rate": 3e-3}

    def trainable_parameters(self, shapes: Shapes) -> int:
        """Blocks with their gates and inputs, and the ways in and out."""
        w, hidden = self.side_width, shapes.hidden_size
        return (12 * w**2 + w * hidden + 4 * w + 1) * shapes.num_layers + 2 * w * (
            hidden + 1
        )

    def parts(self, model: PreTrainedModel, found: Mapping[str, Any]) -> Mapping[str, Part]:
        from peftbench.methods._native.ladder import Rung, SideState, Top
        from peftbench.methods._native.places import Places

        width = model.config.hidden_size
        places, state = Places.of(model), SideState()
        count = len(places.blocks)
        parts: dict[str, Part] = {
            block.name: Rung(state, i, width, self.side_width, count)
            for i, block in enumerate(places.blocks)
        }
        parts[places.final_norm] = Top(state, width, self.side_width)
        return parts


METHOD = Lst
