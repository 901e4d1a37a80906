"""The same seed gives the same adapter, bit for bit, wherever the device can do that."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

#: How torch says that a kernel adds in whatever order threads come: the operator's name, or
#: a sentence. See `torch.use_deterministic_algorithms`.
_ALERT = re.compile(r"^(?P<operator>[\w:]+) does not have a deterministic|deterministic")


def use_repeatable_kernels() -> None:
    """Let torch choose kernels that give the same numbers every time, where it has them.

    What has none runs all the same, and is heard of by `operators_that_differ`. CuBLAS reads
    its setting when it starts, so this comes before the first work on a GPU.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    # Else every new tensor is first filled with NaN: a kernel each, to find reads of memory
    # that nobody wrote.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    # Its backward pass has no deterministic form; that of flash attention has.
    torch.backends.cuda.enable_cudnn_sdp(False)


@contextmanager
def operators_that_differ() -> Iterator[set[str]]:
    """Inside, the set fills with the operators that ran without a deterministic kernel: what
    they computed may be otherwise the next time. Needs `use_repeatable_kernels`."""
    found: set[str] = set()
    with warnings.catch_warnings():
        warnings.filterwarnings("always", message=".*deterministic", category=UserWarning)
        show = warnings.showwarning

        def note(message: Warning | str, *arguments: Any, **named: Any) -> None:
            alert = _ALERT.search(str(message))
            if alert is None:
                show(message, *arguments, **named)
            else:
                found.add(alert["operator"] or str(message).split(".")[0])

        warnings.showwarning = note
        yield found
