"""What a method trains and stores where no closed form is known: it is attached to a model
of the same config without weights, and its tensors are counted."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, cast

from peftbench.errors import InvalidSpec, PeftbenchError
from peftbench.models import Shapes
from peftbench.models._shapes import meta_model
from peftbench.spec.frozen import canonical_json

if TYPE_CHECKING:
    from peft import PeftModel

    from peftbench.methods._method import PeftMethod


def counted(method: PeftMethod, shapes: Shapes) -> tuple[int, int]:
    """Numbers that `method` trains and that it stores, on a model of these shapes.

    Takes a second or two, once. Raises `InvalidSpec` where it does not attach.
    """
    if shapes.config is None:
        raise InvalidSpec(
            f"{type(method).__name__} has no closed form, and these shapes no config to count on."
        )
    return _counted(_Key(method), canonical_json(dict(shapes.config)))


class _Key:
    """A method as a dictionary's key: equal where class and settings are."""

    def __init__(self, method: PeftMethod) -> None:
        self.method = method
        self._key = type(method), canonical_json(method.parameters())

    def __hash__(self) -> int:
        return hash(self._key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and self._key == other._key


@lru_cache(maxsize=256)
def _counted(key: _Key, config: str) -> tuple[int, int]:
    from peft.utils import get_peft_model_state_dict

    model = meta_model(json.loads(config))
    try:
        adapted = key.method.attach(model)
    except PeftbenchError:
        raise
    except Exception as error:
        raise InvalidSpec(
            f"{type(key.method).__name__} cannot be attached to a {model.config.model_type} "
            f"model: {type(error).__name__}: {error}"
        ) from error
    trained = sum(p.numel() for p in adapted.parameters() if p.requires_grad)
    wrapped = cast("PeftModel", adapted)
    if wrapped.active_peft_config.is_prompt_learning:
        wrapped.prompt_encoder.to_empty(device="cpu")  # what is saved is computed, on a CPU
    saved = get_peft_model_state_dict(wrapped, save_embedding_layers=False)
    return trained, sum(tensor.numel() for tensor in saved.values())
