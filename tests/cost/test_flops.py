"""FLOPs of single kernels, by hand: they must not depend on the version of torch."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from peftbench.cost import flops
from peftbench.cost.flops import Flops
from peftbench.cost.without_data import Device, without_data

BATCH, HEADS, LENGTH, WIDTH = 2, 4, 8, 16
#: Of the queries by the keys, as many as of the scores by the values, whole squares.
PRODUCT = 2 * BATCH * HEADS * LENGTH * LENGTH * WIDTH
FORWARD, BACKWARD = 2 * PRODUCT, 5 * PRODUCT


def queries_keys_values(
    device: str, key_heads: int, dtype: torch.dtype = torch.float32
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Each (batch, heads, length, width)."""
    query, key, value = (
        torch.zeros(
            BATCH, heads, LENGTH, WIDTH, device=device, dtype=dtype, requires_grad=True
        )
        for heads in (HEADS, key_heads, key_heads)
    )
    return query, key, value


def attention_there_and_back(
    tensors: tuple[torch.Tensor, torch.Tensor, torch.Tensor], *, is_causal: bool
) -> tuple[Flops, Flops]:
    out: torch.Tensor

    def forward() -> None:
        nonlocal out
        # By the module, where `without_data` has its stand-in.
        out = functional.scaled_dot_product_attention(
            *tensors, is_causal=is_causal, enable_gqa=True
        )

    there = flops.count(forward)
    return there, flops.count(lambda: out.sum().backward())


@pytest.mark.parametrize("is_causal", [False, True])
@pytest.mark.parametrize("key_heads", [4, 2, 1])
def test_attention_counts_each_head_of_queries(key_heads: int, is_causal: bool) -> None:
    """Also where several share the same keys, and whole squares under a causal mask."""
    tensors = queries_keys_values("cpu", key_heads)
    there, back = attention_there_and_back(tensors, is_causal=is_causal)
    assert there.attention == there.total == FORWARD
    assert back.attention == back.total == BACKWARD


@pytest.mark.parametrize("key_heads", [4, 2, 1])
@pytest.mark.parametrize(
    ("device", "dtype"),
    [("cpu", torch.float32), ("cpu", torch.bfloat16), ("cuda", torch.bfloat16)],
)
def test_attention_counts_the_same_without_data(
    device: Device, dtype: torch.dtype, key_heads: int
) -> None:
    with without_data(device):
        tensors = queries_keys_values("meta", key_heads, dtype)
        there, back = attention_there_and_back(tensors, is_causal=True)
    assert there.attention == there.total == FORWARD
    assert back.attention == back.total == BACKWARD


ATEN = torch.ops.aten


@pytest.mark.parametrize(
    ("kernel", "arguments"),
    [
        (ATEN._scaled_dot_product_flash_attention, ()),
        (ATEN._scaled_dot_product_efficient_attention, (None, True)),
        (ATEN._scaled_dot_product_cudnn_attention, (None, True)),
    ],
    ids=["flash", "efficient", "cudnn"],
)
@pytest.mark.parametrize("key_heads", [4, 2])
def test_every_kernel_of_a_gpu_counts_alike(
    kernel: torch._ops.OpOverloadPacket, arguments: tuple[object, ...], key_heads: int
) -> None:
    tensors = queries_keys_values("meta", key_heads, torch.bfloat16)
    assert flops.count(lambda: kernel(*tensors, *arguments)).attention == FORWARD


@pytest.mark.parametrize("directions", [1, 2])
def test_recurrent_layers_count_the_products_of_all_gates(directions: int) -> None:
    """By the kernel of a CPU, and by that of a GPU, which takes all layers at once."""
    length, batch, d, h = 5, 2, 6, 3
    lstm = torch.nn.LSTM(d, h, num_layers=2, bidirectional=directions == 2)
    inputs = torch.zeros(length, batch, d)
    per_token = directions * sum(4 * h * (width + h) for width in (d, directions * h))
    expected = 2 * length * batch * per_token
    assert flops.count(lambda: lstm(inputs)).total == expected
    back = lstm(inputs)[0].sum()
    assert flops.count(back.backward).total == 2 * expected

    on_meta = lstm.to("meta")
    state = torch.zeros(2 * directions, batch, h, device="meta")
    lstm_mode = 2  # of cuDNN
    on_gpu = flops.count(
        lambda: ATEN._cudnn_rnn(
            inputs.to("meta"), list(on_meta.parameters()), 4, None, state, state,
            lstm_mode, h, 0, 2, False, 0.0, True, directions == 2, [], None,
        )
    )  # fmt: skip
    assert on_gpu.total == expected
