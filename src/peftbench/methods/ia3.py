"""(IA)^3: learned vectors that rescale keys, values and the inside of the MLP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from peftbench.errors import InvalidSpec
from peftbench.methods._method import PeftMethod
from peftbench.methods._settings import leaf_names, targeted
from peftbench.models import Shapes


@dataclass(frozen=True, kw_only=True)
class Ia3(PeftMethod):
    """Activations rescaled by learned vectors (Liu et al., 2022, arXiv:2205.05638).

    Computes ``l * (W x + b)`` with l: (d_out,) for keys and values, and ``W (l * x) + b``
    with l: (d_in,) for the layers in `feedforward_modules`, whose input is the inner
    activation of the MLP. W: (d_out, d_in), frozen; l starts at one.
    Trains ``d_out`` parameters per layer, ``d_in`` per feed-forward layer.

    Where the settings are null, the layers are k_proj, v_proj and the last one of the MLP,
    down_proj or fc2, of which the latter is the feed-forward layer.
    """

    target_modules: tuple[str, ...] | None = None
    feedforward_modules: tuple[str, ...] | None = None

    title = "IA3"
    tuner = "IA3Config"
    family = "adapter"
    placement = "keys, values and the inner activation of the MLP"
    paper = "Liu et al., 2022, arXiv:2205.05638"
    defaults_from = "Liu et al.: keys, values and the inner activation of the MLP"
    identity_at_start = True  # because l is one
    mergeable = True
    budget_knob = None  # one vector per layer
    #: Liu et al., section 3.5, there with Adafactor.
    training = {"learning_rate": 3e-3}
    unsupported = {
        "gpt2": "queries, keys and values come from one layer; IA3 leaves queries alone",
        "gpt_neox": "queries, keys and values come from one layer; IA3 leaves queries alone",
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        # A bare string would mean a regular expression to peft: "down_proj" then matches
        # nothing, and the layer's output is scaled in place of its input.
        names, inner = self.target_modules, self.feedforward_modules
        if names is not None:
            names = leaf_names("IA3", "target_modules", names)
        if inner is not None:
            inner = leaf_names("IA3", "feedforward_modules", inner) if inner else ()
        if names and (strangers := [name for name in inner or () if name not in names]):
            raise InvalidSpec(
                f"IA3: {', '.join(strangers)} is among feedforward_modules and not among "
                "target_modules; name it in both."
            )
        object.__setattr__(self, "target_modules", names)
        object.__setattr__(self, "feedforward_modules", inner)

    def trainable_parameters(self, shapes: Shapes) -> int:
        names, inner = self._layers(shapes)
        return sum(
            layer.d_in if layer.leaf in inner else layer.d_out
            for layer in targeted(self.title, shapes, names)
        )

    def peft_fields(self, shapes: Shapes) -> dict[str, Any]:
        names, inner = self._layers(shapes)
        targeted(self.title, shapes, names)
        return {"target_modules": list(names), "feedforward_modules": list(inner)}

    def _layers(self, shapes: Shapes) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Targets, and those of them that lie in the MLP, on a model of these shapes."""
        last = "fc2" if shapes.called("fc2") else "down_proj"  # fc2: OPT and Phi
        names = self.target_modules or ("k_proj", "v_proj", last)
        inner = self.feedforward_modules
        return names, (last,) if inner is None and last in names else inner or ()


METHOD = Ia3
