"""Gradient checkpointing: blocks are computed again on the way back, not kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn
from transformers import PreTrainedModel

from peftbench.errors import ModelError


@contextmanager
def gradient_checkpointing(adapted: nn.Module, *, enabled: bool) -> Iterator[None]:
    """Train inside with what each block keeps recomputed (Chen et al., 2016,
    arXiv:1604.06174): the same gradients, one forward pass more, and of the activations
    only the inputs of the blocks. Evaluation is not touched.

    Raises `ModelError` where the model has no blocks that can be recomputed.
    """
    if not enabled:
        yield
        return
    model = next(part for part in adapted.modules() if isinstance(part, PreTrainedModel))
    try:
        _switch_on(model)
    except ValueError as error:
        raise ModelError(
            f"A {model.config.model_type} model cannot recompute its blocks ({error}). Leave "
            "training.gradient_checkpointing out."
        ) from error
    try:
        yield
    finally:
        _switch_off(model)


def _switch_on(model: PreTrainedModel) -> None:
    # Not reentrant: with a frozen base, a block's input often needs no gradient. Then the
    # embeddings need none either, which transformers turns on for the other kind.
    if hasattr(model, "activation_checkpointing_enable"):  # its name in later releases
        model.activation_checkpointing_enable({"use_reentrant": False})
    else:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    model.disable_input_require_grads()


def _switch_off(model: PreTrainedModel) -> None:
    if hasattr(model, "activation_checkpointing_disable"):
        model.activation_checkpointing_disable()
    else:
        model.gradient_checkpointing_disable()
