"""What a setting may be: declared with its default, checked before any model is loaded.

    rank: int = whole(8, peft="r", hint="try 4 to 64")
    dropout: float = fraction(0.0, peft="lora_dropout")

`peft` is the field of its configuration that the setting fills, where there is one. A
subclass that gives a field another default keeps the limit and the name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import field
from math import inf
from typing import Any, TypeGuard, TypeVar

from peftbench.errors import InvalidSpec
from peftbench.models import Linear, Shapes

ALL_LINEAR = "all-linear"

#: From a method's name, a setting's name and its value to the value as it is kept; raises
#: `InvalidSpec`.
Limit = Callable[[str, str, Any], Any]
Value = TypeVar("Value")

_LIMIT, _PEFT = "limit", "peft"


def whole(
    default: int,
    *,
    hint: str,
    at_least: int = 1,
    or_null: bool = False,
    peft: str | None = None,
) -> int:
    """A whole number of at least `at_least`; with `or_null`, None too."""

    def limit(method: str, setting: str, value: object) -> object:
        if value is None and or_null:
            return value
        if not isinstance(value, int) or isinstance(value, bool) or value < at_least:
            raise InvalidSpec(
                f"{method} needs a whole number of at least {at_least} as {setting}, got "
                f"{value!r}; {hint}."
            )
        return value

    return _field(default, limit, peft)


def fraction(default: float, *, peft: str | None = None) -> float:
    """A number from 0 to below 1."""

    def limit(method: str, setting: str, value: object) -> object:
        if not _is_number(value) or not 0 <= value < 1:
            raise InvalidSpec(
                f"{method} needs a number from 0 to below 1 as {setting}, got {value!r}; 0 "
                "turns it off, 0.05 and 0.1 are common."
            )
        return float(value)

    return _field(default, limit, peft)


def positive(
    default: float,
    *,
    hint: str = "1 is common",
    or_zero: bool = False,
    peft: str | None = None,
) -> float:
    """A finite number above 0; with `or_zero`, 0 too."""

    def limit(method: str, setting: str, value: object) -> object:
        if not _is_number(value) or not 0 <= value < inf or (value == 0 and not or_zero):
            wanted = f"as {setting} of at least 0" if or_zero else f"above 0 as {setting}"
            raise InvalidSpec(f"{method} needs a number {wanted}, got {value!r}; {hint}.")
        return float(value)

    return _field(default, limit, peft)


def one_of(
    default: Value,
    choices: Sequence[Value],
    *,
    called: str,
    peft: str | None = None,
) -> Value:
    """One of `choices`, which messages call so, in the plural: "encoders"."""

    def limit(method: str, _setting: str, value: object) -> object:
        if value not in choices:
            known = (" and " if len(choices) == 2 else ", ").join(map(str, choices))
            raise InvalidSpec(
                f"{method} knows the {called} {known}, got {value!r}; choose one."
            )
        return value

    return _field(default, limit, peft)


def linear_layers(default: str | tuple[str, ...] = ALL_LINEAR) -> str | tuple[str, ...]:
    """`target_modules`: "all-linear", or layer names, kept as a tuple."""

    def limit(method: str, setting: str, value: object) -> object:
        if value == ALL_LINEAR:
            return ALL_LINEAR
        if isinstance(value, str):
            raise InvalidSpec(
                f"{method} needs {ALL_LINEAR!r} or a list of layer names as {setting}, got "
                f"{value!r}; did you mean [{value}]?"
            )
        return leaf_names(method, setting, value)

    return _field(default, limit, None)


def limits(method: type) -> dict[str, Limit]:
    """The limits that the fields of `method` declare, by name."""
    return _declared(method, _LIMIT)


def peft_names(method: type) -> dict[str, str]:
    """What `peft` calls those fields of `method` that fill one of its own."""
    return _declared(method, _PEFT)


def _field(default: Value, limit: Limit, peft: str | None) -> Value:
    return field(
        default=default, metadata={_LIMIT: limit} | ({_PEFT: peft} if peft else {})
    )


def _declared(method: type, what: str) -> dict[str, Any]:
    return {
        one.name: one.metadata[what]
        for base in reversed(method.__mro__)
        for one in vars(base).get("__dataclass_fields__", {}).values()
        if what in one.metadata
    }


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def leaf_names(method: str, setting: str, value: object) -> tuple[str, ...]:
    """`value`, a list of layer names as YAML gives it, as a tuple."""
    if (
        not isinstance(value, list | tuple)
        or not value
        or not all(isinstance(name, str) and name for name in value)
        or len(set(value)) != len(value)
    ):
        raise InvalidSpec(
            f"{method} needs a list of different layer names as {setting}, such as "
            f"[q_proj, v_proj], got {value!r}."
        )
    if any("." in name for name in value):
        raise InvalidSpec(
            f"{method} takes the last part of a layer's name as {setting}, got {value!r}; "
            "write q_proj, not model.layers.0.self_attn.q_proj."
        )
    return tuple(value)


def targeted(
    method: str, shapes: Shapes, wanted: str | tuple[str, ...]
) -> tuple[Linear, ...]:
    """The linear layers that `wanted` names; raises `InvalidSpec` if a name is nobody's."""
    if not shapes.linears:
        raise InvalidSpec(
            f"{method} adapts linear layers, and this {shapes.model_type} model has none of type "
            "torch.nn.Linear in its blocks; use another method or another model."
        )
    if isinstance(wanted, str):
        return shapes.linears
    known = dict.fromkeys(linear.leaf for linear in shapes.linears)
    missing = [name for name in wanted if name not in known]
    if missing:
        raise InvalidSpec(
            f"{method}: this {shapes.model_type} model has no linear layer called "
            f"{', '.join(missing)}. Its layers are {', '.join(known)}; choose among them with "
            "target_modules."
        )
    return tuple(linear for linear in shapes.linears if linear.leaf in wanted)
