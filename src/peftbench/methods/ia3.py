"""IA3."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from peftbench.errors import InvalidSpec
from peftbench.methods._method import Family, PeftMethod, target_names, targeted

if TYPE_CHECKING:
    from peft import PeftConfig
    from transformers import PreTrainedModel

    from peftbench.models._shapes import Shapes


@dataclass(frozen=True, kw_only=True)
class Ia3(PeftMethod):
    """Learned scaling of keys, values and feed-forward activations
    (Liu et al., 2022, arXiv:2205.05638).

    ``k <- l_k * (W_k x)``, ``v <- l_v * (W_v x)`` and, before the second feed-forward
    layer, ``W_down (l_ff * h)``, with every l starting at one.
    l_k, l_v: (d_out,) of their layer.  l_ff: (d_in,) of its layer.
    Adds one trainable parameter per scaled activation.
    """

    target_modules: tuple[str, ...] = ("k_proj", "v_proj", "down_proj")
    #: Those of `target_modules` whose input is scaled instead of their output. `peft`
    #: reads a single string here as a pattern over whole paths, which then matches
    #: nothing and scales the wrong side: hence always a list.
    feedforward_modules: tuple[str, ...] = ("down_proj",)

    family: ClassVar[Family] = "adapter"
    paper: ClassVar[str] = "Liu et al., 2022, arXiv:2205.05638"
    defaults_from: ClassVar[str] = (
        "the paper, section 3.3, in the names of Llama-like models; learning rate 3e-3: "
        "its appendix"
    )
    identity_at_start: ClassVar[bool] = True  # because every scale is one
    mergeable: ClassVar[bool] = True
    training: ClassVar[Mapping[str, Any]] = {"learning_rate": 3e-3}

    def __post_init__(self) -> None:
        for field in ("target_modules", "feedforward_modules"):
            names = target_names("IA3", getattr(self, field))
            if isinstance(names, str):
                raise InvalidSpec(f"IA3: {field} must be a list of layer names.")
            object.__setattr__(self, field, names)
        if not set(self.feedforward_modules) <= set(self.target_modules):
            raise InvalidSpec("IA3: feedforward_modules must also stand in target_modules.")

    def trainable_parameters(self, shapes: Shapes) -> int:
        """``d_in`` of feed-forward layers, ``d_out`` of the others."""
        layers = targeted(shapes, self.target_modules, "IA3")
        return sum(
            layer.d_in if layer.leaf in self.feedforward_modules else layer.d_out
            for layer in layers
        )

    def config(self, model: PreTrainedModel) -> PeftConfig:  # noqa: ARG002
        """See `PeftMethod.config`."""
        import peft

        return peft.IA3Config(
            task_type="CAUSAL_LM",
            target_modules=list(self.target_modules),
            feedforward_modules=list(self.feedforward_modules),
        )


METHOD = Ia3
