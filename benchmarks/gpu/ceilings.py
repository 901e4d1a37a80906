"""What the card can do at best: a plain matrix product, and a plain copy."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from benchmarks.gpu.size import Size


def run(size: Size) -> dict[str, Any]:
    """TFLOP/s of a square product in each precision, and GB/s of a copy, read and written."""
    n = size.choose(8192, 256)
    found: dict[str, Any] = {"product_size": n}
    for dtype in (torch.bfloat16, torch.float32):
        left, right = (torch.randn(n, n, device=size.device, dtype=dtype) for _ in range(2))
        seconds = median_seconds(lambda a=left, b=right: a @ b, size)
        name = str(dtype).removeprefix("torch.")
        found[f"{name}_tflops"] = round(2 * n**3 / seconds / 1e12, 2)
    block = torch.empty(size.choose(2**31, 2**22), device=size.device, dtype=torch.uint8)
    seconds = median_seconds(block.clone, size)
    found["copy_gb_per_second"] = round(2 * block.numel() / seconds / 1e9, 1)
    return found


def median_seconds(work: Callable[[], object], size: Size, repeats: int = 5) -> float:
    """Of doing it once, after a warm-up."""
    seconds = []
    for _ in range(repeats + 2):
        wait(size)
        start = time.perf_counter()
        work()
        wait(size)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[2:])


def wait(size: Size) -> None:
    """For all that was given to the device."""
    if size.device.type == "cuda":
        torch.cuda.synchronize()
