"""Logits at chosen positions only: the output layer is skipped everywhere else."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


def answer_logits(
    model: nn.Module, input_ids: torch.Tensor, positions: torch.Tensor
) -> torch.Tensor:
    """Logits of shape (positions.sum(), vocabulary), in row-major order of `positions`.

    input_ids: (rows, length), right-padded.  positions: (rows, length), boolean.
    The output layer, 7 to 30 % of a model's arithmetic, sees the chosen positions only.
    Virtual tokens that a soft prompt puts before the input are skipped. The slow twin
    is `all_logits(...)[positions]`.
    """

    def choose(_module: nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        hidden, *rest = arguments
        virtual_tokens = hidden.shape[1] - positions.shape[1]
        return (hidden[:, virtual_tokens:][positions], *rest)

    handle = output_layer(model).register_forward_pre_hook(choose)
    try:
        logits: torch.Tensor = model(input_ids=input_ids, use_cache=False).logits
    finally:
        handle.remove()
    return logits


def all_logits(model: nn.Module, input_ids: torch.Tensor) -> torch.Tensor:
    """Logits of shape (rows, length, vocabulary), those of virtual tokens left out."""
    logits: torch.Tensor = model(input_ids=input_ids, use_cache=False).logits
    return logits[:, logits.shape[1] - input_ids.shape[1] :]


def output_layer(model: nn.Module) -> nn.Module:
    """What turns hidden states into logits."""
    layer: nn.Module = model.get_output_embeddings()  # type: ignore[operator]
    return layer
