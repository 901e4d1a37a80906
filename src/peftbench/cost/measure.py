"""The cost of methods on a model: measured where it is at hand, or predicted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from peftbench import manifest as facts
from peftbench.cost.costs import Cost, Memory, Seconds
from peftbench.errors import InvalidSpec, PeftbenchError
from peftbench.methods._build import build, cell_method
from peftbench.models import Shapes, describe, resolve
from peftbench.models._device import resolved_dtype
from peftbench.spec import CellMethod, MethodChoice, ModelChoice, Probe

if TYPE_CHECKING:
    from collections.abc import Mapping

    from peftbench.cost.count import Counted, Inputs
    from peftbench.cost.meter import Measured
    from peftbench.cost.timing import Timing
    from peftbench.methods import Method
    from peftbench.models._load import BaseModel

#: Texts of the probe where a model reads as much; else half of what it reads.
_LENGTH = 512


@dataclass(frozen=True)
class NoCost:
    """A method that could not be measured or predicted, and why."""

    label: str
    reason: str


def default_probe(config: Mapping[str, Any], repeats: int = 5) -> Probe:
    """One length for all methods of a model, with room for soft prompts before it."""
    longest = config.get("max_position_embeddings") or config.get("n_positions") or 1024
    length = min(_LENGTH, int(longest) // 2)
    return Probe(inference_length=length, training_length=length, repeats=repeats)


def check_probe(probe: Probe, config: Mapping[str, Any]) -> None:
    """Refuse inputs that the model does not read; raises `InvalidSpec`."""
    longest = config.get("max_position_embeddings") or config.get("n_positions")
    asked = max(probe.inference_length + probe.new_tokens, probe.training_length)
    if longest is not None and asked > int(longest):
        raise InvalidSpec(
            f"The probe reads and writes {asked} tokens, and the model was built for "
            f"{longest}; give shorter inputs."
        )


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
    from peftbench.models._load import load

    with alone():
        dtype = resolved_dtype(model.dtype, source.config)
        base = load(source, dtype)
        bench = Meter(base, model.name, dtype, chosen)
        for choice, method in built:
            on_method(choice.label)
            try:
                yield bench.cost(cell_method(choice, method), method)
            except (PeftbenchError, RuntimeError) as error:
                yield NoCost(choice.label, str(error))
                if not base.is_intact():
                    bench.base = base = load(source, dtype)


@dataclass
class Meter:
    """A loaded model that methods are measured on, one after the other."""

    base: BaseModel
    model: str
    dtype: str
    probe: Probe
    _bare_flops: int | None = None

    def cost(self, asked: CellMethod, method: Method) -> Cost:
        """Measure `method`; nothing else should run meanwhile."""
        from peftbench.cost.alone import load_average
        from peftbench.cost.meter import measure

        busy = load_average()
        seen = measure(
            self.base, method, inputs=_inputs(self.probe), repeats=self.probe.repeats
        )
        return Cost(
            basis="measured",
            model=self.model,
            model_identity=self.base.source.identity,
            dtype=self.dtype,
            method=asked,
            probe=self.probe,
            device=f"{_device_name(self.base)} ({facts.host()})",
            device_kind=_device_name(self.base),
            base_parameters=self.base.shapes.parameters,
            load_average=busy,
            packages=facts.packages(),
            **_counted(seen.counted, self._bare()),
            **_timed(seen),
        )

    def _bare(self) -> int:
        """Forward FLOPs of the base model alone."""
        if self._bare_flops is None:
            from peftbench.cost.count import forward_flops
            from peftbench.methods import get

            self._bare_flops = forward_flops(
                get("base")(),
                self.base.model,
                self.base.shapes.vocab_size,
                _inputs(self.probe),
            ).total
        return self._bare_flops


def predict_all(
    model: ModelChoice,
    methods: Sequence[MethodChoice],
    device: Literal["cpu", "cuda"],
    probe: Probe | None = None,
    on_method: Callable[[str], None] = lambda _label: None,
) -> Iterator[Cost | NoCost]:
    """The same columns, without times, from the model's config alone."""
    built = [(choice, build(choice)) for choice in methods]
    described = describe(model)
    chosen = probe or default_probe(described.config)
    check_probe(chosen, described.config)
    from peftbench.cost.predict import (
        bare_forward_flops,
        dtype_on,
        model_without_data,
        predict,
    )

    dtype = dtype_on(device, model.dtype, described.config)
    fresh = partial(
        model_without_data, described.config, name=described.location, dtype=dtype
    )
    empty = fresh()
    shapes = Shapes.of(empty)
    inputs = _inputs(chosen)
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
            **_counted(seen, bare),
        )


def _inputs(probe: Probe) -> Inputs:
    from peftbench.cost.count import Inputs

    return Inputs(
        inference=(probe.inference_batch, probe.inference_length),
        training=(probe.training_batch, probe.training_length),
    )


def _device_name(base: BaseModel) -> str:
    if base.device.type != "cuda":
        return base.device.type
    import torch

    return torch.cuda.get_device_name(base.device)


def _counted(seen: Counted, bare: int) -> dict[str, Any]:
    return {
        "trainable_parameters": seen.trainable_parameters,
        "head_parameters": seen.head_parameters,
        "stored_bytes": seen.stored_bytes,
        "serve_bytes": seen.serve_bytes,
        "forward_flops": seen.forward_flops.total,
        "forward_attention_flops": seen.forward_flops.attention,
        "extra_forward_flops": seen.forward_flops.total - bare,
        "training_step_flops": seen.training_step_flops.total,
        "peak_memory": Memory(**vars(seen.memory)),
    }


def _timed(seen: Measured) -> dict[str, Any]:
    merged = seen.merged
    return {
        "step_seconds": seen.step.median if seen.step else None,
        "step_seconds_spread": seen.step.spread if seen.step else None,
        "prefill": _seconds(seen.unmerged.prefill),
        "token": _seconds(seen.unmerged.per_token),
        "prefill_merged": _seconds(merged.prefill) if merged else None,
        "token_merged": _seconds(merged.per_token) if merged else None,
        "load": _seconds(seen.load),
        "merge": _seconds(seen.merge) if seen.merge else None,
        "step_joules": seen.step_joules,
        "token_joules": seen.token_joules,
    }


def _seconds(timing: Timing) -> Seconds:
    return Seconds(median=timing.median, spread=timing.spread)


def this_device() -> Literal["cpu", "cuda"]:
    """Where a model would be measured on this machine."""
    from peftbench.models._load import default_device

    return "cuda" if default_device().type == "cuda" else "cpu"
