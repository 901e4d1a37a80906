"""FLOPs, counted operator by operator: a multiplication and an addition are two.

PyTorch's counter knows matrix products and convolutions. Three kinds of kernel are counted
here: attention, of which the counter misses the kernel of a CPU and, before torch 2.13,
refuses fewer heads of keys than of queries; recurrent layers, of which the matrix products
are counted (all four gates of an LSTM, input and state) and the element-wise gating is not;
and products with weights in 4 bits, as many as with others. Element-wise work, unpacking
weights included, is counted nowhere.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode


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


def _scores(query: Sequence[int], key: Sequence[int]) -> int:
    """How many scores of queries (batch, heads, length, d) by keys there are. A head of keys
    may serve several of queries, and each of these has scores of its own."""
    return math.prod(query[:-1]) * key[-2]


def _attention(
    query: Sequence[int], key: Sequence[int], value: Sequence[int], *_: Any, **__: Any
) -> int:
    """Queries by keys, then scores by values."""
    return 2 * _scores(query, key) * (query[-1] + value[-1])


def _attention_backward(
    _grad: Any,
    query: Sequence[int],
    key: Sequence[int],
    value: Sequence[int],
    *_: Any,
    **__: Any,
) -> int:
    """The scores once more, then the gradients of scores, values, queries and keys."""
    return 2 * _scores(query, key) * (3 * query[-1] + 2 * value[-1])


def _recurrent(inputs: Sequence[int], weights: Iterable[Sequence[int]]) -> int:
    """inputs: (length, batch, d).  weights: (4 h, d) and (4 h, h) of every layer and
    direction; biases are vectors."""
    matrices = (weight for weight in weights if len(weight) == 2)
    return 2 * math.prod(inputs[:-1]) * sum(math.prod(matrix) for matrix in matrices)


def _recurrent_on_cpu(
    inputs: Any, weight: Any, hidden_weight: Any, *_: Any, **__: Any
) -> int:
    """One direction of one layer."""
    return _recurrent(inputs, (weight, hidden_weight))


def _recurrent_on_cuda(inputs: Any, weights: Any, *_: Any, **__: Any) -> int:
    return _recurrent(inputs, weights)


def _twice(formula: Callable[..., int]) -> Callable[..., int]:
    """A backward pass through a product is two products."""
    return lambda *arguments, **keywords: 2 * formula(*arguments, **keywords)


_ATTENTION_KERNELS = (
    "flash_attention_for_cpu",
    "flash_attention",
    "efficient_attention",
    "cudnn_attention",
    "fused_attention_overrideable",
)

_ATEN = torch.ops.aten

#: These take the place of the counter's own, where it has any.
_MORE_OPERATORS = {
    **{
        getattr(_ATEN, f"_scaled_dot_product_{name}"): _attention
        for name in _ATTENTION_KERNELS
    },
    **{
        getattr(_ATEN, f"_scaled_dot_product_{name}_backward"): _attention_backward
        for name in _ATTENTION_KERNELS
    },
    _ATEN.mkldnn_rnn_layer: _recurrent_on_cpu,
    _ATEN.mkldnn_rnn_layer_backward: _twice(_recurrent_on_cpu),
    _ATEN._cudnn_rnn: _recurrent_on_cuda,
    _ATEN._cudnn_rnn_backward: _twice(_recurrent_on_cuda),
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
