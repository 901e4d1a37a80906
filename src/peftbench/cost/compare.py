"""The cost of methods on a model: measured where it is at hand, or predicted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from peftbench import manifest as facts
from peftbench.cost.costs import Cost
from peftbench.errors import InvalidSpec, PeftbenchError
from peftbench.methods._build import build, cell_method
from peftbench.models import Shapes, describe, resolve
from peftbench.models._device import Device, resolved_dtype
from peftbench.spec import MethodChoice, ModelChoice, Probe
from peftbench.spec.benchmark import Precision

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Texts of the probe where a model reads as much; else half of what it reads.
_LENGTH = 512


@dataclass(frozen=True)
class NoCost:
    """A method that could not be measured or predicted, and why."""

    label: str
    reason: str


def said_in_a_line(error: Exception) -> str:
    """What went wrong, with the kind of what a library raised."""
    kind = "" if isinstance(error, PeftbenchError) else f"{type(error).__name__}: "
    return f"{kind}{error}".splitlines()[0]


def default_probe(
    config: Mapping[str, Any], repeats: int = 5, precision: Precision = "float32"
) -> Probe:
    """One length for all methods of a model, with room for soft prompts before it."""
    length = min(_LENGTH, (_longest(config) or 1024) // 2)
    return Probe(
        inference_length=length,
        training_length=length,
        precision=precision,
        repeats=repeats,
    )


def check_probe(probe: Probe, config: Mapping[str, Any]) -> None:
    """Refuse inputs that the model does not read; raises `InvalidSpec`."""
    longest = _longest(config)
    asked = max(probe.inference_length + probe.new_tokens, probe.training_length)
    if longest is not None and asked > longest:
        raise InvalidSpec(
            f"The probe reads and writes {asked} tokens, and the model was built for "
            f"{longest}; give shorter inputs."
        )


def _longest(config: Mapping[str, Any]) -> int | None:
    longest = config.get("max_position_embeddings") or config.get("n_positions")
    return int(longest) if longest else None


def measure_all(
    model: ModelChoice,
    methods: Sequence[MethodChoice],
    probe: Probe | None = None,
    on_method: Callable[[str], None] = lambda _label: None,
) -> Iterator[Cost | NoCost]:
    """Measure one method after the other, alone; raises before the model is loaded."""
    built = [(choice, build(choice)) for choice in methods]
    source = resolve(model)
    chosen = probe or default_probe(source.config)
    check_probe(chosen, source.config)
    from peftbench.cost.alone import alone
    from peftbench.cost.meter import Meter
    from peftbench.models._load import load
    from peftbench.training.repeatable import use_repeatable_kernels

    use_repeatable_kernels()  # as a run does, which this stands for
    model = model.model_copy(update={"dtype": resolved_dtype(model.dtype, source.config)})
    with alone():
        meter = Meter(load(source, model.dtype), model, chosen)
        for choice, method in built:
            on_method(choice.label)
            try:
                yield meter.cost(cell_method(choice, method), method)
            except Exception as error:  # a library's, of any kind: others can be measured
                yield NoCost(choice.label, said_in_a_line(error))
                if not meter.base.is_intact():
                    meter.base = load(source, model.dtype)


def predict_all(
    model: ModelChoice,
    methods: Sequence[MethodChoice],
    device: Device,
    probe: Probe | None = None,
    on_method: Callable[[str], None] = lambda _label: None,
) -> Iterator[Cost | NoCost]:
    """The same columns, without times, from the model's config alone."""
    built = [(choice, build(choice)) for choice in methods]
    described = describe(model)
    chosen = probe or default_probe(described.config)
    check_probe(chosen, described.config)
    from peftbench.cost.count import Inputs
    from peftbench.cost.predict import (
        bare_forward_flops,
        model_without_data,
        predict,
    )

    dtype = resolved_dtype(model.dtype, described.config, device)
    fresh = partial(
        model_without_data, described.config, name=described.written_name, dtype=dtype
    )
    empty = fresh()
    shapes = Shapes.of(empty)
    inputs = Inputs.of(chosen)
    bare = bare_forward_flops(empty, shapes.vocab_size, device, inputs)
    for choice, method in built:
        on_method(choice.label)
        try:
            seen = predict(
                method, fresh, vocabulary=shapes.vocab_size, device=device, inputs=inputs
            )
        except PeftbenchError as error:
            yield NoCost(choice.label, str(error))
            continue
        yield Cost(
            basis="predicted",
            model=model.name,
            model_identity=described.identity,
            dtype=dtype,
            method=cell_method(choice, method),
            probe=chosen,
            device=device,
            device_kind=device,
            base_parameters=shapes.parameters,
            step_seconds=None,
            step_seconds_spread=None,
            packages=facts.packages(),
            **seen.columns(bare),
        )
