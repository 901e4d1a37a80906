"""The state of any optimiser as named tensors and numbers, and back.

Not `Optimizer.load_state_dict`: it casts every tensor to the precision of its parameter,
counts and indices too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

#: What stands between the parts of a name; no parameter or state has it in its own.
_SEPARATOR = "|"


def pack(
    optimizer: torch.optim.Optimizer, parameters: Mapping[str, nn.Parameter]
) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Tensors and plain values of `optimizer`'s state, by "key|name".

    The name is that of the parameter, or the optimiser's own where it keeps state by name.
    """
    names = {id(parameter): name for name, parameter in parameters.items()}
    tensors: dict[str, torch.Tensor] = {}
    values: dict[str, Any] = {}
    for owner, state in optimizer.state.items():
        name = owner if isinstance(owner, str) else names[id(owner)]
        for key, value in state.items():
            kind: dict[str, Any] = tensors if isinstance(value, torch.Tensor) else values
            kind[f"{key}{_SEPARATOR}{name}"] = value
    return tensors, values


def unpack(
    optimizer: torch.optim.Optimizer,
    parameters: Mapping[str, nn.Parameter],
    tensors: Mapping[str, torch.Tensor],
    values: Mapping[str, Any],
) -> None:
    """Put what `pack` returned into `optimizer`, in place of any state it has."""
    optimizer.state.clear()
    for packed, value in {**tensors, **values}.items():
        key, _, name = packed.partition(_SEPARATOR)
        owner: Any = parameters.get(name, name)
        if isinstance(value, torch.Tensor) and key != "step":
            # Counts of steps are the exception: torch keeps them on the CPU.
            device = next(iter(parameters.values())).device
            value = value.to(device)
        optimizer.state[owner][key] = value
