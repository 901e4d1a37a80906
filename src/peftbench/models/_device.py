"""What models are computed on here, told without importing torch where there is no GPU."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from typing import Any, Literal

from peftbench.errors import InvalidSpec
from peftbench.spec.benchmark import AskedPrecision, Precision

Device = Literal["cpu", "cuda"]


def visible_gpus() -> tuple[str, ...]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them: by number or
    UUID. Where that is not set, all of the machine."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is None:
        return tuple(map(str, range(_gpu_count())))
    gpus = [name.strip() for name in named.split(",")]
    last = next((i for i, name in enumerate(gpus) if name in ("", "-1")), len(gpus))
    return tuple(gpus[:last]) if _gpu_count() else ()


def gpu_memory_bytes() -> int | None:
    """Memory of the smallest GPU that may be used; None without one."""
    with suppress(Exception):  # no driver or no GPU: pynvml's own errors
        import pynvml

        pynvml.nvmlInit()
        handles = [
            pynvml.nvmlDeviceGetHandleByIndex(int(gpu))
            if gpu.isdigit()
            else pynvml.nvmlDeviceGetHandleByUUID(gpu)
            for gpu in visible_gpus()
        ]
        return min(int(pynvml.nvmlDeviceGetMemoryInfo(one).total) for one in handles)
    return None


@lru_cache
def gpu_name() -> str | None:
    """Name of the GPU that torch would use first; None where it would use the CPU."""
    if not visible_gpus():
        return None
    import torch  # a driver alone is not enough: torch may be built without CUDA

    return torch.cuda.get_device_name(0) if torch.cuda.is_available() else None


def device_kind() -> str:
    """What costs are measured on: "cpu", or a GPU's name."""
    return gpu_name() or "cpu"


def this_device() -> Device:
    """Where a model is computed on this machine."""
    return "cuda" if gpu_name() else "cpu"


def resolved_dtype(
    asked: str, config: Mapping[str, Any], device: Device | None = None
) -> str:
    """The precision that frozen weights are held in: "auto" is float32 on a CPU, and on a
    GPU what the model's config states. `device` is this machine's unless another is named."""
    if asked != "auto":
        return asked
    if (device or this_device()) == "cpu":
        return "float32"
    stated = str(config.get("dtype") or config.get("torch_dtype") or "float32")
    return stated.removeprefix("torch.")


def resolved_precision(
    asked: AskedPrecision, dtype: str, device: Device | None = None
) -> Precision:
    """The arithmetic of training on weights of `dtype`: "auto" is bfloat16 on a GPU that
    multiplies it natively, as one that is not here is taken to, else float32; on a CPU always,
    for some are 25 times slower in bfloat16 than others. Raises `InvalidSpec` for bfloat16
    on float16 weights: torch has no common type of the two."""
    if asked == "bfloat16" and dtype == "float16":
        raise InvalidSpec(
            "training.precision: bfloat16 does not go with weights in float16, which torch "
            "cannot mix with it; give the model `dtype: bfloat16`, or `precision: float32`."
        )
    if asked != "auto":
        return asked
    if dtype == "float16" or (device or this_device()) == "cpu":
        return "float32"
    if gpu_name() is None:
        return "bfloat16"
    import torch

    native = torch.cuda.is_bf16_supported(including_emulation=False)
    return "bfloat16" if native else "float32"


@lru_cache
def _gpu_count() -> int:
    with suppress(Exception):  # no driver or no GPU: pynvml's own errors
        import pynvml

        pynvml.nvmlInit()
        return int(pynvml.nvmlDeviceGetCount())
    return 0
