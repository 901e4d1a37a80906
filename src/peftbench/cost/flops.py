"""FLOPs, counted operator by operator: a multiplication and an addition are two.

PyTorch's counter knows matrix products, convolutions and the attention kernels of a GPU.
Three kinds of kernel that it misses are added here: attention on a CPU; recurrent
layers, of which the matrix products are counted (all four gates of an LSTM, input and
state) and the element-wise gating is not; and products with weights in 4 bits, as many as
with others. Element-wise work, unpacking weights included, is counted nowhere.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.flop_counter import (
    FlopCounterMode,
    sdpa_backward_flop_count,
    sdpa_flop_count,
)

_GATES_OF_AN_LSTM = 4


@dataclass(frozen=True)
class Flops:
    """What one piece of work took."""

    by_operator: Mapping[str, int]  # "aten.mm": ...

    @property
    def total(self) -> int:
        """Of all operators."""
        return sum(self.by_operator.values())

    @property
    def attention(self) -> int:
        """Of the products of queries, keys and values, whole squares under a causal mask."""
        return sum(n for name, n in self.by_operator.items() if "attention" in name)

    @property
    def linear(self) -> int:
        """Of everything else: matrix products with weights."""
        return self.total - self.attention


def count(work: Callable[[], Any]) -> Flops:
    """The FLOPs of all operators that `work` runs, backward passes included."""
    more = _MORE_OPERATORS | _of_bitsandbytes()
    with FlopCounterMode(display=False, custom_mapping=more) as counter:
        work()
    found = counter.get_flop_counts().get("Global", {})
    return Flops({str(operator): int(flops) for operator, flops in found.items()})


def _attention(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    return int(sdpa_flop_count(query, key, value))


def _attention_backward(
    grad: Any, query: Any, key: Any, value: Any, *_: Any, **__: Any
) -> int:
    return int(sdpa_backward_flop_count(grad, query, key, value))


def _lstm_layer(inputs: Sequence[int], hidden_weight: Sequence[int]) -> int:
    """One direction of one layer. inputs: (length, batch, d).  hidden_weight: (4 h, h)."""
    rows, d, h = inputs[0] * inputs[1], inputs[2], hidden_weight[1]
    return 2 * rows * _GATES_OF_AN_LSTM * h * (d + h)


def _recurrent(inputs: Any, _weight: Any, hidden_weight: Any, *_: Any, **__: Any) -> int:
    return _lstm_layer(inputs, hidden_weight)


def _recurrent_backward(
    inputs: Any, _weight: Any, hidden_weight: Any, *_: Any, **__: Any
) -> int:
    return 2 * _lstm_layer(inputs, hidden_weight)


#: A backward pass through a product is two products.
_MORE_OPERATORS = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: (
        _attention_backward
    ),
    torch.ops.aten.mkldnn_rnn_layer: _recurrent,
    torch.ops.aten.mkldnn_rnn_layer_backward: _recurrent_backward,
}


def _of_bitsandbytes() -> dict[Any, Callable[..., int]]:
    """Its operators are known once something has imported it."""
    if "bitsandbytes" not in sys.modules:
        return {}
    return {torch.ops.bitsandbytes.gemm_4bit: _product_in_4_bits}


def _product_in_4_bits(
    inputs: Sequence[int], _packed: Any, weight: Sequence[int], *_: Any, **__: Any
) -> int:
    """inputs: (..., d_in).  weight: (d_out, d_in) before it was packed."""
    return 2 * math.prod(inputs) * weight[0]
