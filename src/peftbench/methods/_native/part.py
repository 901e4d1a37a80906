"""A part: what an adapter does around one module of the base model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar, cast

import torch
from torch import nn

from peftbench.errors import InvalidSpec

Tensor = torch.Tensor
M = TypeVar("M", bound=nn.Module)
T_co = TypeVar("T_co", bound=nn.Module, covariant=True)


class Wrapped(Protocol):
    """The module that a part is put around, other parts included."""

    def __call__(self, *arguments: Any, **keywords: Any) -> Any: ...


class Part(nn.Module):
    """Runs in place of a module, and may call it.

    All parameters of a part are trained; what is frozen is a buffer. Values that can be
    computed again from the base are buffers that are not saved.
    """

    def forward(self, base: Wrapped, *arguments: Any, **keywords: Any) -> Any:
        """What the module returns with this part around it."""
        raise NotImplementedError

    def fold_into(self, layer: nn.Module) -> None:
        """Change `layer` so that it computes alone what it computes with this part.

        Raises `InvalidSpec` where no weights of `layer` can.
        """
        raise InvalidSpec(
            f"{type(self).__name__} depends on the activations and cannot be merged into the "
            f"weights of {type(layer).__name__}; keep base model and adapter apart."
        )


class Additive(Part):
    """``h + update(x, h)`` with x the input and h the output of the module."""

    def input_of(self, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> Tensor:
        """x, of a call of the module."""
        return hidden_input(arguments, keywords)

    def update(self, x: Tensor, h: Tensor) -> Tensor:
        """What is added to h, of its shape, in the precision of what is trained."""
        raise NotImplementedError

    def forward(self, base: Wrapped, *arguments: Any, **keywords: Any) -> Any:
        x = self.input_of(arguments, keywords)
        return changed(base(*arguments, **keywords), lambda h: h + self.update(x, h))


class Loan(Protocol[T_co]):
    """Access to a module that belongs to another part."""

    def __call__(self) -> T_co: ...


def lend(owner: M) -> Loan[M]:
    """A way to reach `owner` from a part that must not register it a second time.

    Looked up at every use: loading may replace the owner's tensors. A bound method, so that
    a deep copy of the model borrows from the copy.
    """
    return _Lender(owner).get


class _Lender:
    def __init__(self, owner: Any) -> None:
        self.owner = owner

    def get(self) -> Any:
        return self.owner


def hidden_input(arguments: tuple[Any, ...], keywords: dict[str, Any]) -> Tensor:
    """The hidden states that a module of the base is called with."""
    return cast("Tensor", arguments[0] if arguments else keywords["hidden_states"])


def changed(output: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """`output` of a module with its hidden states changed, in their own precision.

    Attention modules return a tuple that begins with them.
    """
    if isinstance(output, tuple):
        return (change(output[0]).to(output[0].dtype), *output[1:])
    return change(output).to(output.dtype)


def like_parameters(x: Tensor, parameter: Tensor) -> Tensor:
    """`x` in the precision of what is trained."""
    return x.to(parameter.dtype)
