"""PEFT-Bench's equations: one side in parentheses, one number, nothing else.

The left side is evaluated by walking its syntax tree: numbers, + - * / // % and signs.
Nothing is ever executed, and every number is bounded by the length of the text.
"""

from __future__ import annotations

import ast
import math
import operator
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

_NUMBER = re.compile(r"[+-]?(\d+(\.\d+)?|\.\d+)")
_TOLERANCE = 1e-6

_OPERATORS: Mapping[type[ast.AST], Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}


@dataclass(frozen=True)
class Equation:
    """``(left) = right``, as far as it can be read."""

    left: str
    left_value: float
    right: float

    @property
    def is_consistent(self) -> bool:
        """Whether both sides are the same number. The question plays no part in it."""
        return abs(self.left_value - self.right) < _TOLERANCE

    def is_written_as(self, other: Equation) -> bool:
        """The same left side to the letter, and the same number on the right."""
        return self.left == other.left and _plain(self.right) == _plain(other.right)


def read_equation(text: str) -> Equation | None:
    """Read the only equation of a text; None is what PEFT-Bench calls a format error.

    >>> read_equation("( 9.0 - 2.0 ) = 7.0").is_consistent
    True
    >>> read_equation("9 - 2 = 7") is None, read_equation("(9 - 2) = 7 plums") is None
    (True, True)
    """
    if text.count("=") != 1:
        return None
    left, right = (side.strip() for side in text.split("="))
    number = right.replace(",", "")
    if not _is_one_parenthesis(left) or not _NUMBER.fullmatch(number):
        return None
    value = evaluate(left[1:-1])
    return None if value is None else Equation(left, value, float(number))


def evaluate(expression: str) -> float | None:
    """The number that an expression stands for; None where it is no arithmetic.

    >>> evaluate("2 * (3 + 4)"), evaluate("1 / 0"), evaluate("__import__('os')")
    (14.0, None, None)
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the parser comments on "1if 2"
            tree = ast.parse(expression.strip(), mode="eval")
        return float(_value(tree.body))
    except (ArithmeticError, MemoryError, RecursionError, SyntaxError, ValueError):
        return None


def _value(node: ast.expr) -> float:
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return number
        case ast.UnaryOp(op=op, operand=operand) if type(op) in _OPERATORS:
            return float(_OPERATORS[type(op)](_value(operand)))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return float(_OPERATORS[type(op)](_value(left), _value(right)))
    raise ValueError(f"{type(node).__name__} is no arithmetic")


def _is_one_parenthesis(text: str) -> bool:
    """Whether the first parenthesis closes at the very end, and nowhere before."""
    depth = 0
    for place, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if depth < 1:
            return depth == 0 and letter == ")" and place == len(text) - 1
    return False


def _plain(number: float) -> str:
    near = math.isfinite(number) and math.isclose(
        number, round(number), rel_tol=0, abs_tol=1e-9
    )
    return str(round(number)) if near else str(number)
