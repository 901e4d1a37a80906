"""What the meter would read, without weights and without the device.

The model is built from its config on PyTorch's meta device, the method is attached, and
the very steps of the meter run there: parameters and stored bytes are exact, FLOPs and
memory come from the same counters. Times are not predicted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import product
from typing import Any

import torch
from transformers import PreTrainedModel

from peftbench.cost.count import Counted, Inputs, count, forward_flops
from peftbench.cost.without_data import without_data
from peftbench.errors import InvalidSpec, ModelError, PeftbenchError
from peftbench.methods import Method, get
from peftbench.models._device import Device
from peftbench.models._load import DTYPES
from peftbench.models._shapes import meta_model


def model_without_data(
    config: Mapping[str, Any], *, name: str, dtype: str
) -> PreTrainedModel:
    """The model of a config on the meta device, frozen, as `models._load` gives it.

    Raises `ModelError` for a model type that transformers does not know.
    """
    model = meta_model(config, DTYPES[dtype])
    model.name_or_path = model.config._name_or_path = name  # adapters write it down
    loaded: PreTrainedModel = model.eval().requires_grad_(False)
    return loaded


def bare_forward_flops(
    model: PreTrainedModel, vocabulary: int, device: Device, inputs: Inputs
) -> int:
    """Forward FLOPs of the base model alone, on one inference input."""
    with without_data(device):
        return forward_flops(get("base")(), model, vocabulary, inputs).total


def predict(
    method: Method,
    fresh: Callable[[], PreTrainedModel],
    *,
    vocabulary: int,
    device: Device,
    inputs: Inputs,
) -> Counted:
    """What the meter would count for `method` on `device`.

    `fresh` makes a model as `model_without_data` does, which is used up. Raises `ModelError`
    where the method cannot do without data.
    """
    name = type(method).__name__
    if method.depends_on_values:
        raise ModelError(
            f"What {name} trains depends on the values of weights and data, and so do its "
            "costs; measure it where they are."
        )
    # Some methods make tensors where the model is, others where torch makes them by itself;
    # and some start from what the model makes of data, which others cannot do without numbers.
    for from_data, where in product((True, False), ("cpu", "meta")):
        with without_data(device, zeros=method.zeros_will_do), torch.device(where):
            try:
                return count(method, fresh(), vocabulary, inputs, start_from_data=from_data)
            except InvalidSpec:
                raise
            except Exception as error:  # whatever it does with numbers that it has not got
                failure = error
    if isinstance(failure, PeftbenchError):
        raise failure
    reason = str(failure).splitlines()[0]
    raise ModelError(
        f"{name} cannot be attached without the model's weights ({reason}); measure it where "
        "they are."
    ) from failure
