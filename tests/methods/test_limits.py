"""A setting declares its limit beside its default, and which field of peft's it fills."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from peftbench import methods
from peftbench.errors import InvalidSpec
from peftbench.methods import Method, fraction, one_of, positive, whole
from peftbench.methods._settings import limits, peft_names
from peftbench.methods.lora import Lora
from peftbench.models import Shapes
from peftbench.testing import tiny_llama


@dataclass(frozen=True, kw_only=True)
class Wide(Lora):
    rank: int = 32
    hidden_layers: int = whole(0, at_least=0, hint="0 means none")
    size: int | None = whole(8, or_null=True, hint="try 8, or null")
    share: float = fraction(0.5, peft="lora_share")
    penalty: float = positive(0.1, or_zero=True, hint="try 0.1")
    kind: str = one_of("a", ("a", "b", "c"), called="kinds")

    title = "Wide"


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("rank", 0, "Wide needs a whole number of at least 1 as rank, got 0; try 4 to 64"),
        ("hidden_layers", -1, "a whole number of at least 0 as hidden_layers, got -1"),
        ("size", 0, "at least 1 as size, got 0; try 8, or null"),
        ("penalty", -0.1, "a number as penalty of at least 0, got -0.1; try 0.1"),
        ("penalty", float("nan"), "of at least 0, got nan"),
        ("kind", "d", "Wide knows the kinds a, b, c, got 'd'; choose one"),
    ],
)
def test_value_outside_of_its_limit_is_refused(
    setting: str, value: object, message: str
) -> None:
    with pytest.raises(InvalidSpec, match=message):
        Wide(**{setting: value})


def test_value_at_its_limit_is_taken() -> None:
    method = Wide(hidden_layers=0, size=None, share=0, penalty=0, kind="c")
    assert (method.hidden_layers, method.size, method.kind) == (0, None, "c")
    assert (type(method.share), type(method.penalty)) == (float, float)


def test_another_default_keeps_limit_and_name() -> None:
    assert limits(Wide).keys() > limits(Lora).keys() == {*Lora().parameters()}
    assert peft_names(Wide) == peft_names(Lora) | {"share": "lora_share"}
    fields = Wide().peft_fields(Shapes.of(tiny_llama()))
    assert (fields["r"], fields["lora_share"]) == (32, 0.5)


def test_method_without_a_title_is_called_by_its_class() -> None:
    with pytest.raises(InvalidSpec, match=r"^ParallelAdapter needs a whole number"):
        methods.get("parallel-adapter")(bottleneck=0)


@pytest.mark.parametrize("name", methods.names())
def test_defaults_lie_within_their_limits(name: str) -> None:
    kind: type[Method] = methods.get(name)
    for setting, limit in limits(kind).items():
        default = getattr(kind, setting)
        assert limit(name, setting, default) == default
