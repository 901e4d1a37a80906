"""Whether methods can be put on a model of a type that nobody tried them on.

Of the types whose layers are known (`models/_layouts.py`) the conformance kit says that, and
every method declares what it does not fit. On others each method is attached to a model without
weights, and run once: what goes wrong there would go wrong in every cell.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from peftbench.errors import InvalidSpec, ModelError
from peftbench.methods import Method, get
from peftbench.models import ModelSource, Shapes
from peftbench.spec import MethodChoice

#: A model that all methods can be put on: what fails there too says nothing of another.
_CONTROL: Mapping[str, Any] = {
    "model_type": "llama",
    "vocab_size": 96,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
_LENGTH = 8


def check_attachment(
    model: str, source: ModelSource, built: Sequence[tuple[MethodChoice, Method]]
) -> None:
    """Raises `InvalidSpec` with all methods that do not work on the model, and why."""
    try:
        Shapes.from_config(source.config)
    except ModelError:
        refused = dict(_refused(source.config, built))
    else:
        return
    if refused:
        reasons = "".join(f"\n  {label}: {reason}" for label, reason in refused.items())
        raise InvalidSpec(
            f"{', '.join(refused)} cannot adapt {model}, a model of type "
            f"{source.config.get('model_type')}; leave them out for it:{reasons}"
        )


def _refused(
    config: Mapping[str, Any], built: Sequence[tuple[MethodChoice, Method]]
) -> Iterator[tuple[str, str]]:
    loader_notes = "_commit_hash", "transformers_version", "auto_map"
    asked = {name: value for name, value in config.items() if name not in loader_notes}
    runs = _problem(get("base")(), asked, runs=True) is None
    for choice, method in built:
        reason = _problem(method, asked, runs=runs)
        if reason and not _fails_everywhere(method, runs=runs):
            yield choice.label, reason


@cache
def _fails_everywhere(method: Method, *, runs: bool) -> bool:
    """Whether it cannot do without numbers at all."""
    return _problem(method, _CONTROL, runs=runs) is not None


def _problem(method: Method, config: Mapping[str, Any], *, runs: bool) -> str | None:
    """What goes wrong when a method is attached to a model without weights, and run there:
    some models cannot be run without numbers at all, such as those that choose experts."""
    import torch

    from peftbench.cost.predict import model_without_data
    from peftbench.cost.without_data import without_data

    said = ""
    for where in ("cpu", "meta"):
        with without_data("cpu", zeros=method.zeros_will_do), torch.device(where):
            try:
                base = model_without_data(config, name="", dtype="float32")
                planned = method.trainable_parameters(Shapes.of(base))
                adapted = method.attach(base).to("meta")
                if runs:
                    ids = torch.zeros(1, _LENGTH, dtype=torch.long, device="meta")
                    adapted(input_ids=ids, use_cache=False)
            except Exception as error:  # a library's, of any kind
                said = said or f"{type(error).__name__}: {error}".splitlines()[0]
                continue
            trained = sum(p.numel() for p in adapted.parameters() if p.requires_grad)
            if trained == planned:
                return None
            return (
                f"it would train {trained:,} parameters there, and {planned:,} by its own "
                "account"
            )
    return said
