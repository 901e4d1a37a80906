"""(IA)^3: learned vectors that rescale keys, values and the inside of the MLP."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from peftbench.errors import InvalidSpec
from peftbench.methods._method import Family, PeftMethod
from peftbench.methods._settings import leaf_names, targeted

if TYPE_CHECKING:
    from peft import PeftConfig
    from transformers import PreTrainedModel

    from peftbench.models._shapes import Shapes


@dataclass(frozen=True, kw_only=True)
class Ia3(PeftMethod):
    """Activations rescaled by learned vectors (Liu et al., 2022, arXiv:2205.05638).

    Computes ``l * (W x + b)`` with l: (d_out,) for keys and values, and ``W (l * x) + b``
    with l: (d_in,) for the layers in `feedforward_modules`, whose input is the inner
    activation of the MLP. W: (d_out, d_in), frozen; l starts at one.
    Trains ``d_out`` parameters per layer, ``d_in`` per feed-forward layer.
    """

    target_modules: tuple[str, ...] = ("k_proj", "v_proj", "down_proj")
    feedforward_modules: tuple[str, ...] = ("down_proj",)

    family: ClassVar[Family] = "adapter"
    placement: ClassVar[str] = "keys, values and the inner activation of the MLP"
    paper: ClassVar[str] = "Liu et al., 2022, arXiv:2205.05638"
    defaults_from: ClassVar[str] = (
        "Liu et al.: keys, values and the inner activation of the MLP; the names are those of "
        "Llama and its relatives"
    )
    identity_at_start: ClassVar[bool] = True  # because l is one
    mergeable: ClassVar[bool] = True
    budget_knob: ClassVar[str | None] = None  # one vector per layer
    #: Liu et al., section 3.5, there with Adafactor.
    training: ClassVar[Mapping[str, Any]] = {"learning_rate": 3e-3}

    def __post_init__(self) -> None:
        # A bare string would mean a regular expression to peft: "down_proj" then matches
        # nothing, and the layer's output is scaled in place of its input.
        names = leaf_names("IA3", "target_modules", self.target_modules)
        inner = self.feedforward_modules
        inner = leaf_names("IA3", "feedforward_modules", inner) if inner else ()
        if strangers := [name for name in inner if name not in names]:
            raise InvalidSpec(
                f"IA3: {', '.join(strangers)} is among feedforward_modules and not among "
                "target_modules; name it in both."
            )
        object.__setattr__(self, "target_modules", names)
        object.__setattr__(self, "feedforward_modules", inner)

    def trainable_parameters(self, shapes: Shapes) -> int:
        """``d_out`` of every target, ``d_in`` of those in the MLP."""
        return sum(
            layer.d_in if layer.leaf in self.feedforward_modules else layer.d_out
            for layer in targeted("IA3", shapes, self.target_modules)
        )

    def config(self, model: PreTrainedModel) -> PeftConfig:
        """See `PeftMethod.config`."""
        import peft

        from peftbench.models._shapes import Shapes

        targeted("IA3", Shapes.of(model), self.target_modules)
        return peft.IA3Config(
            task_type="CAUSAL_LM",
            target_modules=list(self.target_modules),
            feedforward_modules=list(self.feedforward_modules),
        )


METHOD = Ia3
