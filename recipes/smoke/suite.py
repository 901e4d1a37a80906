"""Write the suite `methods-smoke`: every method, one rule for all learning rates.

    python -m recipes.smoke.suite > src/peftbench/suites/methods-smoke.yaml

The embedded model has two million parameters, and wants more than what papers found on
models of billions (docs/decisions/0070-smoke-learning-rates.md). Ten times a method's own
learning rate, and never more than 0.3, is one rule for all; no method was tuned.
"""

from __future__ import annotations

from collections.abc import Iterator

from peftbench import methods

TIMES, AT_MOST = 10, 0.3

#: Methods that do not run without a GPU, with the reason.
NEEDS_A_GPU: dict[str, str] = {}

_HEAD = """\
# Every method on the embedded model, two generated tasks and one seed: does each of them run,
# learn, and come back from disk? Made by `python -m recipes.smoke.suite`; its learning rates
# are ten times each method's own, by docs/decisions/0070-smoke-learning-rates.md.
name: methods-smoke
description: Every method on the embedded tiny model, once
models: [tiny]
methods:"""

_TAIL = """\
tasks: [generated_mood, generated_sums]
seeds: [1]
training: {steps: 48, batch_size: 8, validations: 1, max_length: 128}
limits: {validation: 50, test: 100}"""


def text() -> str:
    """The YAML of the suite."""
    return "\n".join([_HEAD, *_choices(), _TAIL]) + "\n"


def learning_rate(name: str) -> float:
    """What the suite trains a method with."""
    own = methods.get(name).training["learning_rate"]
    return float(f"{min(AT_MOST, TIMES * own):.6g}")


def _choices() -> Iterator[str]:
    for name in methods.CATALOGUE.own_names():
        if name in NEEDS_A_GPU:
            continue
        if methods.get(name).trains:
            rate = _yaml(learning_rate(name))
            yield f"  - {{name: {name}, training: {{learning_rate: {rate}}}}}"
        else:
            yield f"  - {name}"


def _yaml(value: float) -> str:
    """With a point and an exponent, as YAML 1.1 knows a number: 2.0e-3."""
    mantissa, exponent = f"{value:.6e}".split("e")
    mantissa = mantissa.rstrip("0")
    return f"{mantissa}{'0' * mantissa.endswith('.')}e{int(exponent):+d}"


if __name__ == "__main__":
    print(text(), end="")
