"""What models are computed on here, told without importing torch where there is no GPU."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from typing import Any


@lru_cache
def gpu_name() -> str | None:
    """Name of the GPU that torch would use first; None where it would use the CPU."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") == "" or not _has_gpu():
        return None
    import torch  # a driver alone is not enough: torch may be built without CUDA

    return torch.cuda.get_device_name(0) if torch.cuda.is_available() else None


def device_kind() -> str:
    """What costs are measured on: "cpu", or a GPU's name."""
    return gpu_name() or "cpu"


def resolved_dtype(asked: str, config: Mapping[str, Any]) -> str:
    """The precision that frozen weights are held in: "auto" is float32 on a CPU, and on a
    GPU what the model's config states."""
    if asked != "auto":
        return asked
    stated = str(config.get("dtype") or config.get("torch_dtype") or "float32")
    return "float32" if gpu_name() is None else stated.removeprefix("torch.")


def _has_gpu() -> bool:
    with suppress(Exception):  # no driver or no GPU: pynvml's own errors
        import pynvml

        pynvml.nvmlInit()
        return bool(pynvml.nvmlDeviceGetCount())
    return False
