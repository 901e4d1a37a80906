"""safetensors files of tensors without data: the true header, then a hole.

A file written here has to the byte the size of one with the numbers in it, and takes
no room on a disk that knows holes. Format: an 8-byte little-endian length, a JSON header
padded with blanks to a multiple of 8, the tensors (huggingface.co/docs/safetensors).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

#: The library's names, in the order in which it lays tensors out, last first.
_TYPES = {
    torch.bool: "BOOL",
    torch.uint8: "U8",
    torch.int8: "I8",
    torch.float8_e5m2: "F8_E5M2",
    torch.float8_e4m3fn: "F8_E4M3",
    torch.int16: "I16",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int32: "I32",
    torch.float32: "F32",
    torch.complex64: "C64",
    torch.float64: "F64",
    torch.int64: "I64",
}
_BY_NAME = {name: dtype for dtype, name in _TYPES.items()}
_ORDER = {dtype: -place for place, dtype in enumerate(_TYPES)}


def save_file(
    tensors: Mapping[str, torch.Tensor],
    filename: str | Path,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """As `safetensors.torch.save_file`, without reading the tensors."""
    entries: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    at = 0
    for name in sorted(tensors, key=lambda name: (_ORDER[tensors[name].dtype], name)):
        tensor = tensors[name]
        entries[name] = {
            "dtype": _TYPES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [at, at + tensor.nbytes],
        }
        at += tensor.nbytes
    header = json.dumps(entries, separators=(",", ":"), ensure_ascii=False).encode()
    header += b" " * (-len(header) % 8)
    with Path(filename).open("wb") as file:
        file.write(len(header).to_bytes(8, "little"))
        file.write(header)
        file.truncate(8 + len(header) + at)


def load_file(filename: str | Path, device: str = "meta") -> dict[str, torch.Tensor]:  # noqa: ARG001
    """As `safetensors.torch.load_file`, shapes only."""
    with Path(filename).open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    return {
        name: torch.empty(entry["shape"], dtype=_BY_NAME[entry["dtype"]], device="meta")
        for name, entry in header.items()
        if name != "__metadata__"
    }
