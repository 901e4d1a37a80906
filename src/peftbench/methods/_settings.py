"""Checks that methods share: what a spec may say, before any model is loaded."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import TYPE_CHECKING

from peftbench.errors import InvalidSpec

if TYPE_CHECKING:
    from peftbench.models._shapes import Linear, Shapes

ALL_LINEAR = "all-linear"


def check_whole(method: str, setting: str, value: object, hint: str) -> None:
    """Refuse what is not a whole number of at least 1."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise InvalidSpec(
            f"{method} needs a whole number of at least 1 as {setting}, got {value!r}; {hint}."
        )


def fraction(method: str, setting: str, value: object) -> float:
    """`value` as a float from 0 to below 1; anything else is refused."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
        raise InvalidSpec(
            f"{method} needs a number from 0 to below 1 as {setting}, got {value!r}; 0 turns "
            "it off, 0.05 and 0.1 are common."
        )
    return float(value)


def positive(method: str, setting: str, value: object, hint: str = "1 is common") -> float:
    """`value` as a float above 0; anything else is refused."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < inf:
        raise InvalidSpec(
            f"{method} needs a number above 0 as {setting}, got {value!r}; {hint}."
        )
    return float(value)


def one_of(method: str, setting: str, value: object, choices: Sequence[object]) -> None:
    """Refuse what is not among `choices`."""
    if value not in choices:
        raise InvalidSpec(
            f"{method} knows {', '.join(map(str, choices))} as {setting}, got {value!r}; "
            "choose one."
        )


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


def targets(method: str, value: object) -> str | tuple[str, ...]:
    """`value` as `target_modules`: "all-linear", or layer names as a tuple."""
    if value == ALL_LINEAR:
        return ALL_LINEAR
    if isinstance(value, str):
        raise InvalidSpec(
            f"{method} needs {ALL_LINEAR!r} or a list of layer names as target_modules, got "
            f"{value!r}; did you mean [{value}]?"
        )
    return leaf_names(method, "target_modules", value)


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
