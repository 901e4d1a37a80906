"""What a method is: how it attaches to a base model, and what can be said of it before."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from peftbench.errors import InvalidSpec

if TYPE_CHECKING:
    from peft import PeftConfig
    from torch import nn
    from transformers import PreTrainedModel

    from peftbench.models._shapes import Linear, Shapes

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
        raise InvalidSpec(f"{type(self).__name__} cannot be folded into the base's weights.")


@dataclass(frozen=True, kw_only=True)
class PeftMethod(Method):
    """A method that Hugging Face `peft` carries: all it has to state is its config."""

    @abstractmethod
    def config(self, model: PreTrainedModel) -> PeftConfig:
        """The `peft` configuration that these settings mean on `model`."""

    def attach(self, model: PreTrainedModel) -> nn.Module:
        """See `Method.attach`."""
        import peft

        model.requires_grad_(False)
        adapted = peft.get_peft_model(model, self.config(model))
        return _with_float32_adapter(adapted)

    def detach(self, adapted: nn.Module) -> PreTrainedModel:
        """See `Method.detach`."""
        tuner: Any = adapted.base_model
        unload = getattr(tuner, "unload", None)  # soft prompts wrap and change nothing
        base = unload() if unload else adapted.get_base_model()  # type: ignore[operator]
        return _cleaned(base)

    def save(self, adapted: nn.Module, folder: Path) -> None:
        """See `Method.save`; the folder is one that `PeftModel.from_pretrained` opens."""
        # "auto" would ask the hub for the base model's config to compare vocabularies.
        adapted.save_pretrained(folder, save_embedding_layers=False)  # type: ignore[operator]

    def load(self, model: PreTrainedModel, folder: Path) -> nn.Module:
        """See `Method.load`."""
        import peft

        model.requires_grad_(False)
        adapted = peft.PeftModel.from_pretrained(model, folder)
        return _with_float32_adapter(adapted).eval().requires_grad_(False)

    def merge(self, adapted: nn.Module) -> PreTrainedModel:
        """See `Method.merge`."""
        if not self.mergeable:
            return super().merge(adapted)
        return _cleaned(adapted.merge_and_unload())  # type: ignore[operator]


def _with_float32_adapter(adapted: nn.Module) -> nn.Module:
    """Trained in bfloat16, small updates would be rounded away."""
    import torch

    for parameter in adapted.parameters():
        if parameter.requires_grad and parameter.dtype != torch.float32:
            parameter.data = parameter.data.float()
    return adapted


def _cleaned(base: Any) -> PreTrainedModel:
    """Remove the marks that `peft` leaves on a model that it has released."""
    for name in ("peft_config", "_hf_peft_config_loaded", "active_adapter"):
        if name in vars(base):
            delattr(base, name)
    model: PreTrainedModel = base.eval().requires_grad_(False)
    return model


def check_positive(method: str, **settings: int | float) -> None:
    """Raise `InvalidSpec` for a setting that is not above zero."""
    for name, value in settings.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
            raise InvalidSpec(f"{method} needs {name} > 0, got {value!r}.")


def target_names(method: str, targets: str | Sequence[str]) -> str | tuple[str, ...]:
    """Settings from YAML name the adapted layers by one word or by a list."""
    if isinstance(targets, str):
        if targets != "all-linear":
            raise InvalidSpec(
                f'{method}: target_modules is "all-linear" or a list of layer names such '
                f"as [q_proj, v_proj]; got {targets!r}. A single string would be read as a "
                "pattern over whole paths."
            )
        return targets
    if not targets or not all(isinstance(name, str) for name in targets):
        raise InvalidSpec(f"{method}: target_modules must name at least one layer.")
    return tuple(targets)


def targeted(shapes: Shapes, targets: str | tuple[str, ...], method: str) -> list[Linear]:
    """The linear layers that `target_modules` stands for, of the blocks of a model."""
    found = [
        linear for linear in shapes.linears if targets == "all-linear" or linear.leaf in targets
    ]
    if not found:
        known = ", ".join(sorted({linear.leaf for linear in shapes.linears}))
        raise InvalidSpec(
            f"{method}: no layer of this {shapes.model_type} model is called "
            f"{' or '.join(targets)}; it has {known}. Set target_modules."
        )
    return found
