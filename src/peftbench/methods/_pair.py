"""A config and a tuner in the manner of Hugging Face `peft`, as a method.

    from my_package import MyConfig, MyTuner
    from peftbench.methods import from_peft

    METHOD = from_peft(
        MyConfig,
        MyTuner,
        family="reparameterised",
        placement="linear layers of the blocks",
        paper="Somebody, 2026, arXiv:2601.00001",
        identity_at_start=True,
    )

`peft` has no entry points, so the pair is put into its tables when the method is first used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields, make_dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from peftbench.errors import InvalidSpec
from peftbench.methods._meta import counted
from peftbench.methods._method import Family, PeftMethod
from peftbench.models import Shapes

if TYPE_CHECKING:
    from peft import PeftConfig, PeftModel
    from transformers import PreTrainedModel

#: What a setting may be: that which JSON knows.
_PLAIN = (str, int, float, bool, list, tuple, type(None))


@dataclass(frozen=True, kw_only=True)
class PairMethod(PeftMethod):
    """Base of what `from_peft` makes; its fields are those of the config."""

    config_class: ClassVar[Any]
    tuner_class: ClassVar[Any]
    prefix: ClassVar[str | None]
    count: ClassVar[Callable[[Any, Shapes], int] | None]

    def trainable_parameters(self, shapes: Shapes) -> int:
        """The closed form that was given, else counted on a model without weights."""
        count = type(self).count
        return counted(self, shapes)[0] if count is None else count(self, shapes)

    def stored_parameters(self, shapes: Shapes) -> int:
        """Counted on a model without weights, where no closed form was given."""
        count = type(self).count
        return counted(self, shapes)[1] if count is None else count(self, shapes)

    def config(self, model: PreTrainedModel) -> PeftConfig:
        settings = {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in self.parameters().items()
        }
        return self.config_class(task_type="CAUSAL_LM", **settings)

    def _wrap(self, model: PreTrainedModel, config: PeftConfig) -> PeftModel:
        _register(self.config_class, self.tuner_class, self.prefix)
        return super()._wrap(model, config)


def from_peft(
    config_class: type[PeftConfig],
    tuner_class: type[Any],
    *,
    family: Family,
    placement: str,
    paper: str,
    identity_at_start: bool,
    mergeable: bool = False,
    defaults_from: str = "its config",
    budget_knob: str | None = None,
    needs_backward_through_base: bool = True,
    training: Mapping[str, Any] | None = None,
    unsupported: Mapping[str, str] | None = None,
    prefix: str | None = None,
    count: Callable[[Any, Shapes], int] | None = None,
) -> type[PairMethod]:
    """The method of a `peft` config and its tuner, which derives from `BaseTuner`.

    The config's own fields become the method's settings. `prefix` begins the names of the
    tuner's tensors; by default what the tuner says. `count` is a closed form of the number
    of trained parameters, from the method and the model's shapes; without it they are
    counted on a model without weights. Its learning rate belongs into `training`.

    Raises `InvalidSpec` for a field without a default.
    """
    from peft import PeftConfig

    general = {one.name for one in fields(PeftConfig)}
    settings = []
    for one in fields(config_class):
        if one.name in general:
            continue
        if one.default is MISSING and one.default_factory is MISSING:
            raise InvalidSpec(
                f"{config_class.__name__}.{one.name} has no default; a method is run by its "
                "name alone, so that every setting needs one."
            )
        factory = one.default_factory
        default = one.default if factory is MISSING else factory()
        default = sorted(default) if isinstance(default, set) else default
        if isinstance(default, _PLAIN):
            value = tuple(default) if isinstance(default, list) else default
            settings.append((one.name, Any, field(default=value)))
    facts: dict[str, Any] = {
        "family": family,
        "placement": placement,
        "paper": paper,
        "defaults_from": defaults_from,
        "identity_at_start": identity_at_start,
        "mergeable": mergeable,
        "budget_knob": budget_knob,
        "needs_backward_through_base": needs_backward_through_base,
        "training": dict(training or {}),
        "unsupported": dict(unsupported or {}),
        "config_class": config_class,
        "tuner_class": tuner_class,
        "prefix": prefix,
        "count": count,
    }
    made = make_dataclass(
        config_class.__name__.removesuffix("Config"),
        settings,
        bases=(PairMethod,),
        namespace={"__doc__": tuner_class.__doc__ or config_class.__doc__, **facts},
        frozen=True,
        kw_only=True,
    )
    made.__module__ = config_class.__module__
    return made


def _register(config_class: Any, tuner_class: Any, prefix: str | None) -> None:
    """Put a pair into `peft`'s tables; raises `InvalidSpec` where its type is taken."""
    from peft import PEFT_TYPE_TO_CONFIG_MAPPING, PEFT_TYPE_TO_TUNER_MAPPING
    from peft.mapping import PEFT_TYPE_TO_PREFIX_MAPPING

    kind = config_class().peft_type
    if kind is None:
        raise InvalidSpec(
            f"{config_class.__name__} says no peft_type; set one in its __post_init__, in capitals "
            "and of your own."
        )
    known = PEFT_TYPE_TO_CONFIG_MAPPING.get(kind, config_class)
    if known.__qualname__ != config_class.__qualname__:
        raise InvalidSpec(
            f"The peft_type {kind} of {config_class.__name__} is that of {known.__name__}; give "
            "it one of its own."
        )
    PEFT_TYPE_TO_CONFIG_MAPPING[kind] = config_class
    PEFT_TYPE_TO_TUNER_MAPPING[kind] = tuner_class
    PEFT_TYPE_TO_PREFIX_MAPPING[kind] = prefix or tuner_class.prefix
