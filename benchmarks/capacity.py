"""Where every method ends on one linear layer, at the same number of parameters.

    python benchmarks/capacity.py --parameters 1024

Each method with a knob is turned to the budget; one without stands at its own size. Beside
its error stands the smallest that any change of the weight of LoRA's rank at that size can
have. A method that cannot attach to a bare linear layer is listed with the reason.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace

from peftbench import methods
from peftbench.errors import PeftbenchError
from peftbench.methods import Method
from peftbench.methods._budget import solve
from peftbench.models import Shapes
from peftbench.spec import Budget
from peftbench.testing.capacity import WIDTH, OneLinear, best_error, fit


def main() -> None:
    """Print one line per method, the nearest to the target first."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parameters", type=int, default=1024, help="LoRA of rank 8")
    parser.add_argument("--methods", default="", help="names, separated by commas; all")
    arguments = parser.parse_args()
    names = [name for name in arguments.methods.split(",") if name] or methods.names()
    fitted, refused = [], []
    for name in names:
        start = time.perf_counter()
        try:
            method, note = sized(methods.get(name)(), arguments.parameters)
            count, error = fit(method)
        except Exception as error:
            refused.append((name, f"{type(error).__name__}: {error}".splitlines()[0]))
            continue
        fitted.append((error, name, count, note, time.perf_counter() - start))
    print("| method | setting | trained parameters | relative error | best of its rank |")
    print("|---|---|---:|---:|---:|")
    for error, name, count, note, _ in sorted(fitted):
        rank = count // (2 * WIDTH)
        best = f"{best_error(rank):.4f} (rank {rank})" if 0 < rank <= WIDTH else "–"
        print(f"| {name} | {note} | {count:,} | {error:.4f} | {best} |")
    print("\nNot on a bare linear layer:\n")
    for name, reason in refused:
        print(f"- {name}: {reason[:160]}")


def sized(method: Method, parameters: int) -> tuple[Method, str]:
    """The method at this size, or at its own; without dropout."""
    fields = type(method).__dataclass_fields__
    off = {name: 0.0 for name in fields if name.endswith("dropout")}
    method = replace(method, **off)
    if method.budget_knob is None:
        return method, "one size"
    shapes = Shapes.of(OneLinear())
    try:
        budget = Budget(trainable_parameters=parameters)
        turned, settled = solve("capacity", method, shapes, budget)
    except PeftbenchError:
        return method, "its default"
    return turned, f"{settled.knob} {settled.value}"


if __name__ == "__main__":
    main()
