"""What is computed where, without a GPU at hand: the driver and torch are stood in for."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from peftbench.errors import InvalidSpec
from peftbench.models import _device
from peftbench.models._device import (
    gpu_memory_bytes,
    resolved_dtype,
    resolved_precision,
    visible_gpus,
)


def test_auto_is_float32_on_a_cpu_and_what_the_config_states_elsewhere() -> None:
    config = {"dtype": "bfloat16"}
    assert resolved_dtype("auto", config, "cpu") == "float32"
    assert resolved_dtype("auto", config, "cuda") == "bfloat16"
    assert resolved_dtype("auto", {"torch_dtype": "float16"}, "cuda") == "float16"
    assert resolved_dtype("auto", {}, "cuda") == "float32"
    assert resolved_dtype("float32", config, "cuda") == "float32"


def test_training_is_mixed_where_a_gpu_multiplies_bfloat16(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import torch

    assert resolved_precision("auto", "float32", "cpu") == "float32"
    assert resolved_precision("bfloat16", "float32", "cpu") == "bfloat16"
    assert resolved_precision("float32", "bfloat16", "cuda") == "float32"
    monkeypatch.setattr(_device, "gpu_name", lambda: None)
    assert resolved_precision("auto", "bfloat16", "cuda") == "bfloat16", (
        "of a GPU that is not here"
    )
    monkeypatch.setattr(_device, "gpu_name", lambda: "Some GPU")
    for is_native, expected in ((True, "bfloat16"), (False, "float32")):
        monkeypatch.setattr(
            torch.cuda,
            "is_bf16_supported",
            lambda including_emulation, native=is_native: native,
        )
        assert resolved_precision("auto", "bfloat16") == expected


def test_float16_and_bfloat16_do_not_mix() -> None:
    assert resolved_precision("auto", "float16", "cuda") == "float32"
    assert resolved_precision("float32", "float16", "cuda") == "float32"
    with pytest.raises(InvalidSpec, match="bfloat16 does not go with weights in float16"):
        resolved_precision("bfloat16", "float16", "cpu")


@pytest.fixture
def three_gpus(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A driver that knows of GPUs of 80, 40 and 24 GB."""
    sizes = {"0": 80, "1": 40, "2": 24, "GPU-b": 40}
    driver = SimpleNamespace(
        nvmlInit=lambda: None,
        nvmlDeviceGetCount=lambda: 3,
        nvmlDeviceGetHandleByIndex=str,
        nvmlDeviceGetHandleByUUID=str,
        nvmlDeviceGetMemoryInfo=lambda gpu: SimpleNamespace(total=sizes[gpu] * 10**9),
    )
    monkeypatch.setitem(sys.modules, "pynvml", driver)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    _device._gpu_count.cache_clear()
    yield
    _device._gpu_count.cache_clear()


@pytest.mark.parametrize(
    ("named", "gpus", "smallest"),
    [
        (None, ("0", "1", "2"), 24),
        ("", (), None),
        ("-1", (), None),
        ("1", ("1",), 40),
        ("0, 1", ("0", "1"), 40),
        ("GPU-b,0", ("GPU-b", "0"), 40),
        ("0,-1,2", ("0",), 80),
    ],
)
def test_only_gpus_that_the_environment_allows_are_used(
    three_gpus: None,
    monkeypatch: pytest.MonkeyPatch,
    named: str | None,
    gpus: tuple[str, ...],
    smallest: int | None,
) -> None:
    if named is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", named)
    assert visible_gpus() == gpus
    memory = gpu_memory_bytes()
    assert memory == (None if smallest is None else smallest * 10**9)
