"""Costs measured beside costs predicted, for twelve methods on a model, with the errors.

    python benchmarks/measured_and_predicted.py
    python benchmarks/measured_and_predicted.py --model FOLDER --methods base,lora --repeats 9

What is measured runs alone; predicted is from the config, without weights, for the device that
measured. Times have no prediction; they are printed so that one run tells all of a machine.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Iterator

from peftbench.cost.compare import (
    NoCost,
    default_probe,
    measure_all,
    predict_all,
)
from peftbench.cost.costs import Cost
from peftbench.manifest import packages, system
from peftbench.models import describe
from peftbench.models._device import this_device
from peftbench.report import numbers
from peftbench.spec import MethodChoice, ModelChoice

TWELVE = (
    "base", "full", "lora", "ia3", "ln-tuning", "bitfit", "prompt-tuning", "p-tuning",
    "prefix-tuning", "adaptformer", "loreft", "ssf",
)  # fmt: skip


def main() -> None:
    """Measure, predict, print."""
    options = arguments()
    model = ModelChoice(name=options.model, dtype=options.dtype)
    methods = [MethodChoice(name=name) for name in options.methods.split(",")]
    probe = default_probe(describe(model).config, options.repeats)
    measured = list(measure_all(model, methods, probe, tell("measuring")))
    predicted = list(predict_all(model, methods, this_device(), probe, tell("predicting")))
    print(f"# Costs on {model.name}, measured and predicted\n")
    print(f"    {shlex.join(['python', *sys.argv])}\n")
    versions = ", ".join(f"{name} {number}" for name, number in packages().items())
    print(f"{system()}; {versions}.\n")
    for line in lines(methods, measured, predicted):
        print(line)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Costs measured beside costs predicted.")
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--methods", default=",".join(TWELVE))
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--repeats", type=int, default=5)
    return parser.parse_args()


def tell(what: str):
    """Say on stderr what is being worked on."""
    return lambda label: print(what, label, file=sys.stderr)


def lines(
    methods: list[MethodChoice],
    measured: list[Cost | NoCost],
    predicted: list[Cost | NoCost],
) -> Iterator[str]:
    """Two tables: what is predicted, beside what is measured; and the times."""
    both = list(zip(methods, measured, predicted, strict=True))
    first = next(cost for cost in measured if isinstance(cost, Cost))
    yield (
        f"On {first.device.split(' (')[0]}: one input of {first.probe.inference_length} tokens, "
        f"training steps on {first.probe.training_batch} × {first.probe.training_length}.\n"
    )
    yield (
        "| method | trainable | stored | to serve | forward FLOPs | step FLOPs | peak memory "
        "| activations |"
    )
    yield "|---|--:|--:|--:|--:|--:|--:|--:|"
    for method, seen, said in both:
        if isinstance(seen, NoCost) or isinstance(said, NoCost):
            reason = seen.reason if isinstance(seen, NoCost) else said.reason
            yield f"| {method.label} | {reason} |"
            continue
        cells = [
            pair(seen.trainable_parameters, said.trainable_parameters, ""),
            pair(seen.stored_bytes, said.stored_bytes, "B"),
            pair(seen.serve_bytes or 0, said.serve_bytes or 0, "B"),
            pair(seen.forward_flops, said.forward_flops, "FLOPs"),
            pair(seen.training_step_flops, said.training_step_flops, "FLOPs"),
            pair(seen.peak_memory.total, said.peak_memory.total, "B"),
            pair(seen.peak_memory.activations, said.peak_memory.activations, "B"),
        ]
        yield f"| {method.label} | {' | '.join(cells)} |"
    yield (
        "\nMeasured, and in brackets how far predicted is from it; `=` is equal to the last "
        "digit.\n"
    )
    yield from times(both)


def pair(seen: float, said: float, unit: str) -> str:
    """A measured number and the error of the predicted one."""
    text = numbers.si(seen, unit).strip()
    return f"{text} (=)" if seen == said else f"{text} ({100 * (said / seen - 1):+.4f} %)"


def times(both: list[tuple[MethodChoice, Cost | NoCost, Cost | NoCost]]) -> Iterator[str]:
    """What only a clock can tell."""
    costs = [(method, seen) for method, seen, _ in both if isinstance(seen, Cost)]
    busy = max((cost.load_average or 0.0 for _, cost in costs), default=0.0)
    yield (
        "| method | step | tokens/s | prefill | token | prefill, merged | token, merged | load "
        "| merge |"
    )
    yield "|---|--:|--:|--:|--:|--:|--:|--:|--:|"
    for method, cost in costs:
        step = (
            f"{numbers.si(cost.step_seconds, 's')} ± {numbers.si(cost.step_seconds_spread, 's')}"
            if cost.step_seconds
            else numbers.NOTHING
        )
        rest = (
            cost.prefill, cost.token, cost.prefill_merged, cost.token_merged, cost.load,
            cost.merge,
        )  # fmt: skip
        cells = [
            numbers.NOTHING
            if one is None
            else f"{numbers.si(one.median, 's')} ± {numbers.si(one.spread, 's')}"
            for one in rest
        ]
        rate = numbers.si(cost.training_tokens_per_second, "").strip()
        yield f"| {method.label} | {step} | {rate} | {' | '.join(cells)} |"
    yield (
        f"\nMedians ± interquartile range. The load of the machine was at most {busy:.1f}: "
        "times are of a quiet machine only where that is well below its number of cores."
    )


if __name__ == "__main__":
    main()
