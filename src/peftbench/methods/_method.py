"""What a method is: how it attaches to a base model, and what can be said of it before."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

if TYPE_CHECKING:
    from peft import PeftConfig
    from torch import nn
    from transformers import PreTrainedModel

    from peftbench.models._shapes import Shapes

Family = Literal[
    "baseline", "soft prompt", "adapter", "selective", "reparameterised", "hybrid", "side"
]


@dataclass(frozen=True, kw_only=True)
class Method(ABC):
    """A fine-tuning method and its settings. One file in `methods/` ends with
    `METHOD = TheClass`; the fields of the class are the settings a spec may change.

    A field that makes no sense raises `InvalidSpec` in `__post_init__`. Files import
    `torch` and `peft` only inside functions, so that listing methods is instant.
    """

    family: ClassVar[Family]
    paper: ClassVar[str]  # authors, year and identifier
    defaults_from: ClassVar[str]  # where the defaults of the fields come from
    identity_at_start: ClassVar[bool]  # untrained, it computes what the base computes
    mergeable: ClassVar[bool]  # it can be folded into the base's weights
    trains: ClassVar[bool] = True  # False: nothing is trained
    #: Fields of `spec.Training` that this method wants otherwise, such as its paper's
    #: learning rate. What the spec says outright goes before.
    training: ClassVar[Mapping[str, Any]] = {}

    def parameters(self) -> dict[str, Any]:
        """The settings, defaults included, as they go into a cell's identity."""
        return asdict(self)

    @abstractmethod
    def trainable_parameters(self, shapes: Shapes) -> int:
        """Closed form of the number of trained scalars on a model of these shapes."""

    @abstractmethod
    def attach(self, model: PreTrainedModel) -> nn.Module:
        """`model` with the method on it: exactly what is to be trained requires grad.

        Random initial values are drawn from torch's global generator.
        """

    @abstractmethod
    def detach(self, adapted: nn.Module) -> PreTrainedModel:
        """The base model alone again, bit for bit as it was before `attach`."""

    @abstractmethod
    def save(self, adapted: nn.Module, folder: Path) -> None:
        """Write what was trained, and nothing else of size, to `folder`."""

    @abstractmethod
    def load(self, model: PreTrainedModel, folder: Path) -> nn.Module:
        """`model` with the method as `save` left it, ready to be evaluated."""

    def merge(self, adapted: nn.Module) -> PreTrainedModel:
        """The method folded into the base's weights. Defined where `mergeable`."""
        raise NotImplementedError(f"{type(self).__name__} cannot be merged.")


@dataclass(frozen=True, kw_only=True)
class PeftMethod(Method):
    """A method that Hugging Face `peft` carries: all it has to state is its config."""

    @abstractmethod
    def config(self, model: PreTrainedModel) -> PeftConfig:
        """The `peft` configuration that these settings mean on `model`."""

    def attach(self, model: PreTrainedModel) -> nn.Module:
        """See `Method.attach`."""
        import peft

        return peft.get_peft_model(model, self.config(model))

    def detach(self, adapted: nn.Module) -> PreTrainedModel:
        """See `Method.detach`."""
        raise NotImplementedError  # written in full by the methods' owner

    def save(self, adapted: nn.Module, folder: Path) -> None:
        """See `Method.save`; the folder is one that `PeftModel.from_pretrained` opens."""
        adapted.save_pretrained(folder)  # type: ignore[operator]

    def load(self, model: PreTrainedModel, folder: Path) -> nn.Module:
        """See `Method.load`."""
        import peft

        return peft.PeftModel.from_pretrained(model, folder)
