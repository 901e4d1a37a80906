"""When do two models compute the same? What rounding may do to their logits, and no more.

The answer must not depend on the precision that weights are held in. In 16 bits one unit in the
last place is as large as what a short run trains: a comparison there passes faults, and fails
good runs. So logits that are compared are computed `in_float32`, from the weights as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

#: By their names in a spec.
NARROW = {"bfloat16": torch.bfloat16, "float16": torch.float16}

#: What a block adds to the error of logits, in units in the last place. Good runs stay below half
#: of it, those of FourierFT in 16 bits too, whose update is thirty times a tiny model's weights;
#: those of others below a tenth. tests/encoding/test_rounding.py plants faults.
_OF_A_BLOCK = 32


def rounding(layers: int, dtype: torch.dtype = torch.float32) -> float:
    """How far apart rounding to `dtype` can bring the logits of one computation, see
    `difference`; blocks err independently of each other.

    >>> f"{rounding(2):.1e}", f"{rounding(32):.1e}", f"{rounding(2, torch.bfloat16):.1e}"
    ('5.4e-06', '2.2e-05', '3.5e-01')
    """
    return float(layers**0.5 * _OF_A_BLOCK * torch.finfo(dtype).eps)


def difference(found: torch.Tensor, expected: torch.Tensor) -> float:
    """Root mean square of the difference, as a share of that of what is expected."""
    apart = (found.float() - expected.float()).norm()
    return float(apart / expected.float().norm())


def in_float32() -> AbstractContextManager[object]:
    """Within, what takes or makes numbers of 16 bits takes and makes them in float32.

    The weights stay as they are: each is cast up where it is used, one at a time, so that this
    needs the memory of no second model.
    """
    return _CastingUp()  # type: ignore[no-untyped-call]


class _CastingUp(TorchDispatchMode):
    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        # What writes into a tensor, or looks at part of one, must do so to that very tensor.
        if all(argument.alias_info is None for argument in func._schema.arguments):
            args, kwargs = tree_map(_cast_up, (args, kwargs))
        return func(*args, **kwargs)


def _cast_up(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.float() if value.dtype in NARROW.values() else value
    narrow = isinstance(value, torch.dtype) and value in NARROW.values()
    return torch.float32 if narrow else value
