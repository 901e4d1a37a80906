"""One place where randomness starts, and a name for the state that it led to."""

from __future__ import annotations

import hashlib
import random

import numpy as np
import torch
from torch import nn


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and torch. Called before a method is attached: its initial
    values are part of what a seed stands for."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def trainable(model: nn.Module) -> dict[str, nn.Parameter]:
    """What is trained, by name, each tensor once."""
    return {name: p for name, p in model.named_parameters() if p.requires_grad}


def state_sha256(model: nn.Module) -> str:
    """Digest of the trainable tensors: the same seed must give the same start."""
    total = hashlib.sha256()
    for name, parameter in sorted(trainable(model).items()):
        values = parameter.detach().float().cpu().contiguous().numpy()
        total.update(name.encode())
        total.update(values.tobytes())
    return total.hexdigest()
