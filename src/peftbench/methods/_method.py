"""What a method is: how it attaches to a base model, and what can be said of it before."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, cast

from peftbench.errors import InvalidSpec, ModelError
from peftbench.methods._hook import Hook, RunContext
from peftbench.methods._settings import limits, peft_names
from peftbench.models import Shapes

if TYPE_CHECKING:
    import torch
    from peft import PeftConfig, PeftModel
    from torch import nn
    from transformers import PreTrainedModel

    from peftbench.spec import Range

#: What `peft` calls the file of an adapter's weights.
WEIGHTS = "adapter_model.safetensors"

Family = Literal[
    "baseline", "soft prompt", "adapter", "selective", "reparameterised", "hybrid", "side"
]


@dataclass(frozen=True, kw_only=True)
class Method(ABC):
    """A fine-tuning method and its settings. One file in `methods/` ends with
    `METHOD = TheClass`; the fields of the class are the settings a spec may change.

    A field declares its limit with its default (`_settings`); what no field can say alone is
    checked in `__post_init__`, which raises `InvalidSpec`. Files import `torch` and `peft` only
    inside functions, so that listing methods is instant.
    """

    title: ClassVar[str] = ""  # its name in messages: "VeRA"; "": its class's
    family: ClassVar[Family]
    placement: ClassVar[str]  # where it acts: "linear layers of the blocks"
    paper: ClassVar[str]  # authors, year and identifier
    defaults_from: ClassVar[str]  # where the defaults of the fields come from
    identity_at_start: ClassVar[bool]  # untrained, it computes what the base computes
    mergeable: ClassVar[bool]  # it can be folded into the base's weights
    #: The setting that a budget turns, a whole number; None: the method has one size only.
    budget_knob: ClassVar[str | None]
    trains: ClassVar[bool] = True  # False: nothing is trained
    #: Its gradients come through the base's layers, whose activations must then be kept.
    needs_backward_through_base: ClassVar[bool] = True
    #: Its blocks can be computed again on the way back (`training.gradient_checkpointing`).
    recomputes: ClassVar[bool] = True
    #: What it trains depends on the values of weights or data: its costs can be measured
    #: and not predicted.
    depends_on_values: ClassVar[bool] = False
    #: What it asks single numbers of tensors for, as a check, changes no cost: where there are
    #: no numbers, zeros will do, and all entries for those that are not zero.
    zeros_will_do: ClassVar[bool] = False
    #: It learns which tokens it changes, and that may come to none.
    may_choose_no_token: ClassVar[bool] = False
    #: Model types, and precisions of a model's weights, that it cannot adapt, each with the
    #: reason.
    unsupported: ClassVar[Mapping[str, str]] = {}
    #: Fields of `spec.Training` that this method wants otherwise, such as its paper's
    #: learning rate. What the spec says outright goes before.
    training: ClassVar[Mapping[str, Any]] = {}
    #: Settings beside the learning rate that fair tuning searches, and where.
    space: ClassVar[Mapping[str, Range | tuple[Any, ...]]] = {}

    def __post_init__(self) -> None:
        """Hold every setting to the limit that its field declares; raises `InvalidSpec`."""
        name = self.title or type(self).__name__
        for setting, limit in limits(type(self)).items():
            value = limit(name, setting, getattr(self, setting))
            object.__setattr__(self, setting, value)

    def parameters(self) -> dict[str, Any]:
        """The settings, defaults included, as they go into a cell's identity."""
        return asdict(self)

    @property
    def location(self) -> str | None:
        """Where files lie that belong to the settings, and no part of an identity: those are
        told by their digests, in `parameters`."""
        return None

    @classmethod
    def rebuilt(cls, parameters: Mapping[str, Any], location: str | None) -> Self:  # noqa: ARG003
        """The method of these `parameters`; `location` is None where it was not kept."""
        return cls(**parameters)

    @abstractmethod
    def trainable_parameters(self, shapes: Shapes) -> int:
        """Closed form of the number of trained scalars on a model of these shapes."""

    def stored_parameters(self, shapes: Shapes) -> int:
        """Closed form of the number of scalars that `save` writes.

        Differs from the trained ones where only a result of them is kept.
        """
        return self.trainable_parameters(shapes)

    def base_bytes(self, shapes: Shapes, weight_bytes: int) -> int:
        """Closed form of the bytes of the base's weights with the method on it, each having
        `weight_bytes` without it."""
        return shapes.parameters * weight_bytes

    def knob_values(self, shapes: Shapes) -> Sequence[int]:
        """What a budget may set `budget_knob` to, in order; the count rises or falls with
        it. A value that the method refuses on these shapes (`InvalidSpec`) is passed over."""
        return range(1, 2**16 + 1)

    @abstractmethod
    def attach(self, model: PreTrainedModel) -> nn.Module:
        """`model` with the method on it: exactly what is to be trained requires grad.

        Random initial values are drawn from torch's global generator. What is trained is
        float32, whatever the precision of the base.
        """

    def attach_for(self, model: PreTrainedModel, context: RunContext) -> nn.Module:
        """`attach` for a run that is known: what a run calls.

        For methods whose start or schedule depends on the number of steps, the settings of
        training, or the training data.
        """
        return self.attach(model)

    def hook(self, adapted: nn.Module, context: RunContext) -> Hook | None:
        """How this method takes part in training; None: AdamW on what requires grad."""
        return None

    def facts(self, adapted: nn.Module, context: RunContext) -> Mapping[str, float]:
        """Numbers about what was learned, for the record, each under a phrase that says what
        it is. Called once, after training, with the best state in place."""
        return {}

    @abstractmethod
    def detach(self, adapted: nn.Module) -> PreTrainedModel:
        """The base model alone again, bit for bit as it was before `attach` or `load`."""

    @abstractmethod
    def save(self, adapted: nn.Module, folder: Path) -> None:
        """Write what was trained, and nothing else of size, to `folder`."""

    @abstractmethod
    def load(self, model: PreTrainedModel, folder: Path) -> nn.Module:
        """`model` with the method as `save` left it: frozen, in evaluation mode."""

    def merge(self, adapted: nn.Module) -> PreTrainedModel:
        """The method folded into the base's weights, where it is `mergeable`.

        This uses the base up: it cannot be detached any more. Raises `InvalidSpec` where
        the method cannot be merged.
        """
        raise InvalidSpec(
            f"{type(self).__name__} cannot be merged into the weights of its base model; "
            "keep base model and adapter apart."
        )


@dataclass(frozen=True, kw_only=True)
class PeftMethod(Method):
    """A method that Hugging Face `peft` carries: all it has to state is its config.

    That is the class (`tuner`), which setting is which of its fields (`peft=` where settings are
    declared), and the fields that no setting turns (`fixed`); where they depend on the model's
    shapes, `peft_fields` says them. Its adapters are saved in `peft`'s format;
    `PeftModel.from_pretrained` opens them.
    """

    tuner: ClassVar[str]  # the name of its configuration in `peft`: "VeraConfig"
    fixed: ClassVar[Mapping[str, Any]] = {}

    def peft_fields(self, shapes: Shapes) -> dict[str, Any]:
        """Fields of the configuration; raises `InvalidSpec` where a setting does not fit."""
        settings = {
            peft: getattr(self, ours) for ours, peft in peft_names(type(self)).items()
        }
        return settings | dict(self.fixed)

    def config(self, model: PreTrainedModel) -> PeftConfig:
        """The `peft` configuration that these settings mean on `model`."""
        import peft

        kind = getattr(peft, self.tuner)
        config = kind(task_type="CAUSAL_LM", **self.peft_fields(Shapes.of(model)))
        return cast("PeftConfig", config)

    def attach(self, model: PreTrainedModel) -> nn.Module:
        with _without_known_warnings():
            config = self.config(model)
        adapted: nn.Module = self._wrap(model, config)
        return adapted

    def detach(self, adapted: nn.Module) -> PreTrainedModel:
        from peftbench.methods._before import Before

        wrapped = cast("PeftModel", adapted)
        model = wrapped.get_base_model()
        before = Before.take(model)
        if not wrapped.active_peft_config.is_prompt_learning:
            wrapped.unload()
        self._undo(model)
        before.restore(model)
        return cast("PreTrainedModel", model)

    def save(self, adapted: nn.Module, folder: Path) -> None:
        """The folder is one that `PeftModel.from_pretrained` opens."""
        wrapped = cast("PeftModel", adapted)
        config = wrapped.active_peft_config
        for name, value in vars(config).items():
            if isinstance(value, set):  # its order would differ from process to process
                setattr(config, name, sorted(value))
        # Not "auto": that looks the base up on the hub to compare vocabulary sizes.
        wrapped.save_pretrained(str(folder), save_embedding_layers=False)
        (folder / "README.md").unlink()  # a form that peft leaves to be filled in

    def load(self, model: PreTrainedModel, folder: Path) -> nn.Module:
        """Raises `ModelError` where the adapter does not fit `model`."""
        with _without_known_warnings():
            return self._install(model, *read_adapter(folder, model.device), folder)

    def _install(
        self,
        model: PreTrainedModel,
        config: PeftConfig,
        weights: dict[str, torch.Tensor],
        folder: Path,
    ) -> nn.Module:
        """`model` with an adapter of these weights, frozen, in evaluation mode."""
        from peft.utils import get_peft_model_state_dict, set_peft_model_state_dict

        # Not `PeftModel.from_pretrained`: it only warns when weights are missing, and
        # rounds those of ln-tuning to the precision of the base.
        adapted = self._wrap(model, config)
        expected = get_peft_model_state_dict(adapted, save_embedding_layers=False)
        if _layout(weights) != _layout(expected):
            self.detach(adapted)
            raise ModelError(
                f"The adapter in {folder} does not fit this base model: its tensors have "
                "other names or shapes. Load it on the model that it was trained on."
            )
        set_peft_model_state_dict(adapted, weights)
        loaded: nn.Module = adapted.requires_grad_(False).eval()
        return loaded

    def merge(self, adapted: nn.Module) -> PreTrainedModel:
        from peftbench.methods._before import Before

        if not self.mergeable:
            return super().merge(adapted)
        wrapped = cast("PeftModel", adapted)
        before = Before.take(wrapped.get_base_model())
        merged = wrapped.merge_and_unload()
        before.restore(merged, weights=False)
        return cast("PreTrainedModel", merged)

    def _wrap(self, model: PreTrainedModel, config: PeftConfig) -> PeftModel:
        """`model` inside a `PeftModel`; what `attach` and `load` have in common.

        Where `peft` refuses half-way, `model` is made as it was.
        """
        import peft

        from peftbench.methods._before import Before

        before = Before.remember(model, weights=self.changed_weights(model))
        try:
            with _without_known_warnings():
                self._prepare(model, config)
                return peft.get_peft_model(model, config)
        except Exception:
            _unwrap(model)
            self._undo(model)
            Before.take(model)
            before.restore(model)
            raise

    def changed_weights(self, model: PreTrainedModel) -> Collection[str]:
        """Names of the base's own parameters that attaching changes; they are kept."""
        return ()

    def _prepare(self, model: PreTrainedModel, config: PeftConfig) -> None:
        """What has to happen to `model` before `peft` wraps it, once it is remembered."""

    def _undo(self, model: PreTrainedModel) -> None:
        """Take back what `_prepare` did, once `peft`'s layers are gone."""


def read_adapter(
    folder: Path, device: torch.device
) -> tuple[PeftConfig, dict[str, torch.Tensor]]:
    """Configuration and weights in `folder`, for a base model that is at hand.

    Raises `ModelError` where there are none.
    """
    import peft
    from safetensors.torch import load_file

    file = folder / WEIGHTS
    if not file.is_file():
        raise ModelError(f"No adapter in {folder}: it has no {file.name}.")
    config = peft.PeftConfig.from_pretrained(str(folder))
    config.inference_mode = True
    config.base_model_name_or_path = None  # the base is the one at hand
    if config.is_prompt_learning:
        # What `peft` wrote down of the old base would hide that this one differs.
        config.token_dim = config.num_layers = config.num_attention_heads = None
    return config, load_file(file, device=str(device))


def _unwrap(model: PreTrainedModel) -> None:
    """Take the tuner's layers off that `peft` has put on so far."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    for name, module in list(model.named_modules()):
        if isinstance(module, BaseTunerLayer):
            parent, _, leaf = name.rpartition(".")
            setattr(model.get_submodule(parent), leaf, module.get_base_layer())


def _layout(tensors: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


@contextmanager
def _without_known_warnings() -> Iterator[None]:
    """Silence what `peft` says at every attachment and what concerns us not."""
    with warnings.catch_warnings():
        for message in (
            ".*is_gradient_checkpointing. is deprecated",  # peft asks, transformers warns
            "fan_in_fan_out is set to False but the target module is `Conv1D`",  # peft sets it
            ".*cannot merge the BEFT adapter",  # `bitfit` makes the missing bias first
            "Unsupported layer type .*Norm",  # ln-tuning has no use for its widths
            "Specified to not (save|load) [a-z]+_A",  # a key makes them again
        ):
            warnings.filterwarnings("ignore", message)
        yield
