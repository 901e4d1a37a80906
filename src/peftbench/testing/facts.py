"""Does a method's file state what tables, budgets and plans go by, and is it plausible?"""

from __future__ import annotations

import re
import typing
from dataclasses import replace

from peftbench.errors import InvalidSpec
from peftbench.methods import Family, Method
from peftbench.methods._budget import solve
from peftbench.models import Shapes
from peftbench.spec import Budget

#: What fits a column of a table.
_PLACEMENT_LENGTH = 60
_FLAGS = ("identity_at_start", "mergeable", "needs_backward_through_base", "trains")


def states_what_it_is(method: Method, shapes: Shapes) -> str:
    """Every attribute of `Method` is there and makes sense, and its knob turns its size.

    Raises `AssertionError` where not, with the attribute's name.
    """
    kind = type(method)
    for name in ("family", "placement", "paper", "defaults_from", "budget_knob", *_FLAGS):
        assert hasattr(kind, name), f"it states no {name}"
    assert kind.family in typing.get_args(Family), (
        f"family is {kind.family!r}; known are {', '.join(typing.get_args(Family))}"
    )
    for name in ("placement", "paper", "defaults_from"):
        text = getattr(kind, name)
        assert isinstance(text, str), f"{name} is {text!r}"
        assert text.strip() == text != "", f"{name} is {text!r}"
    assert len(kind.placement) <= _PLACEMENT_LENGTH, "placement is one column of a table"
    assert not kind.placement.endswith("."), "placement is a phrase, not a sentence"
    for name in _FLAGS:
        assert isinstance(getattr(kind, name), bool), f"{name} is not True or False"
    assert kind.needs_backward_through_base <= kind.trains, (
        "what trains nothing needs no backward pass"
    )
    document = kind.__doc__ or ""
    assert not document.startswith(f"{kind.__name__}("), "its class has no docstring"
    assert len(document) > 60, "its docstring gives no formula"
    for model_type, reason in kind.unsupported.items():
        assert re.fullmatch(r"[a-z0-9_-]+", model_type), f"{model_type!r} is no model type"
        assert len(reason) > 10, f"unsupported: {reason!r} is no reason"
    return _turns(method, shapes)


def _turns(method: Method, shapes: Shapes) -> str:
    knob = method.budget_knob
    if knob is None:
        return f"family {method.family}; one size only"
    assert knob in type(method).__dataclass_fields__, (
        f"its budget_knob {knob!r} is no setting"
    )
    value = getattr(method, knob)
    assert isinstance(value, int), (
        f"its budget_knob {knob} is {value!r}, not a whole number"
    )
    count = method.trainable_parameters(shapes)

    def differs(other: int) -> bool:
        try:
            return replace(method, **{knob: other}).trainable_parameters(shapes) != count
        except InvalidSpec:
            return False

    assert any(map(differs, method.knob_values(shapes)[: 4 * value])), (
        f"its budget_knob {knob} does not change the count"
    )
    turned, _ = solve("", method, shapes, Budget(trainable_parameters=count))
    assert turned.trainable_parameters(shapes) == count, (
        f"a budget of its own size gives another: the count does not rise, or fall, with {knob}"
    )
    return f"family {method.family}; a budget turns {knob}"
