"""Which modules need an adapter? Token density of TS-LoRA as a measure of their importance.

After token-selective training, the share of tokens that a module's update reaches (its
density) ranks the modules. The best of a ranking, as many as fit into a budget of parameters,
are adapted by plain LoRA, trained anew, and compared with other choices of the same size:

    density    the densest modules
    reversed   the least dense: the paper (TS-PEFT, arXiv:2511.16147) does not say which way
    norm       the largest ||s B A|| (Frobenius) of a plain LoRA that was trained on all
    random     drawn by chance, as often as `--draws` says
    all        every module, at the full size

The store is one that `peftbench run examples/token-selective.yaml` has filled, and takes the
new runs too: nothing is trained twice.

    python recipes/redundancy/probe.py --store runs/token-selective
"""

from __future__ import annotations

import argparse
import json
import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import peftbench
from peftbench.models import Shapes, describe
from peftbench.report.numbers import score
from peftbench.results import stored_benchmark
from peftbench.spec import ModelChoice, from_mapping
from peftbench.store import PlannedCell, Store, StoredBenchmark

DENSITY = "tokens selected, "


def main() -> None:
    """Rank, choose, train what the store does not hold yet, and print a table per task."""
    asked = arguments()
    with Store.open(asked.store, create=False) as store:
        source = stored_benchmark(store, asked.benchmark)
        model = from_mapping(source.spec).models[0]
        sizes = module_sizes(model, rank=lora_settings(source)["rank"])
        ranked = {
            task: rank_modules(store, source, task, asked.label, sizes)
            for task in dict.fromkeys(planned.cell.task.name for planned in source.cells)
        }
    budget = asked.fraction * sum(sizes.values())
    for task, rankings in ranked.items():
        choices = {name: within(order, sizes, budget) for name, order in rankings.items()}
        for draw in range(asked.draws):
            order = random.Random(draw).sample(sorted(sizes), len(sizes))
            choices[f"random {draw + 1}"] = within(order, sizes, budget)
        choices["all"] = sorted(sizes)
        print_scores(asked, source, task, choices, sizes)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--benchmark", default="token-selective")
    parser.add_argument("--label", default="penalty 0.1", help="whose densities rank")
    parser.add_argument("--fraction", type=float, default=0.5, help="of LoRA's parameters")
    parser.add_argument("--draws", type=int, default=3, help="random choices")
    parser.add_argument("--workers", type=int, default=None)
    return parser.parse_args()


def module_sizes(model: ModelChoice, rank: int) -> dict[str, int]:
    """LoRA's parameters on every linear layer of the blocks."""
    shapes = Shapes.from_config(describe(model).config)
    return {linear.name: rank * (linear.d_in + linear.d_out) for linear in shapes.linears}


def lora_settings(source: StoredBenchmark) -> Mapping[str, Any]:
    """The settings of the plain LoRA of a benchmark."""
    settings: Mapping[str, Any] = next(
        planned.cell.method.parameters
        for planned in source.cells
        if planned.cell.method.name == "lora"
    )
    return settings


def rank_modules(
    store: Store, source: StoredBenchmark, task: str, label: str, sizes: Mapping[str, int]
) -> dict[str, list[str]]:
    """The modules from most to least important, by each measure, over all seeds of a task."""
    cells = [planned for planned in source.cells if planned.cell.task.name == task]
    selective = [planned for planned in cells if planned.label == label]
    plain = [planned for planned in cells if planned.cell.method.name == "lora"]
    density = densities(store, selective)
    norm = norms(store, plain, sizes)
    by_density = sorted(sizes, key=lambda name: -density[name])
    return {
        "density": by_density,
        "reversed": by_density[::-1],
        "norm": sorted(sizes, key=lambda name: -norm[name]),
    }


def densities(store: Store, cells: Sequence[PlannedCell]) -> dict[str, float]:
    """Mean share of tokens that each module's update reaches."""
    found: dict[str, list[float]] = defaultdict(list)
    for record in store.records(cells).values():
        for name, share in record.facts.items():
            if name.startswith(DENSITY):
                found[name.removeprefix(DENSITY)].append(share)
    if not found:
        raise SystemExit("The store has no finished ts-lora cells with that label.")
    return {name: fmean(shares) for name, shares in found.items()}


def norms(
    store: Store, cells: Sequence[PlannedCell], sizes: Mapping[str, int]
) -> dict[str, float]:
    """Mean Frobenius norm of each module's update, from kept adapters."""
    from safetensors.torch import load_file

    found: dict[str, list[float]] = defaultdict(list)
    runs = store.results.by_id(one.cell.train.id for one in cells if one.cell.train)
    for planned in cells:
        run = runs.get(planned.cell.train.id) if planned.cell.train else None
        folder = store.results.adapter(run) if run else None
        if folder is None:
            raise SystemExit("The store keeps no adapters: run with `keep_adapters: true`.")
        settings = planned.cell.method.parameters
        scale = settings["alpha"] / settings["rank"]
        weights = load_file(folder / "adapter_model.safetensors")
        for name in sizes:
            first, second = (
                weights[f"base_model.model.{name}.{factor}.weight"]
                for factor in ("lora_A", "lora_B")
            )
            found[name].append(float((scale * second @ first).norm()))
    return {name: fmean(values) for name, values in found.items()}


def within(order: Sequence[str], sizes: Mapping[str, int], budget: float) -> list[str]:
    """The first of an order that fit a budget together; one that does not is passed over.

    >>> within(["a", "b", "c"], {"a": 2, "b": 5, "c": 1}, 4)
    ['a', 'c']
    """
    chosen, spent = [], 0
    for name in order:
        if spent + sizes[name] <= budget:
            chosen.append(name)
            spent += sizes[name]
    return chosen


def print_scores(
    asked: argparse.Namespace,
    source: StoredBenchmark,
    task: str,
    choices: Mapping[str, Sequence[str]],
    sizes: Mapping[str, int],
) -> None:
    """Train LoRA on every choice of modules, and print its scores."""
    spec = from_mapping(source.spec).model_dump(mode="json", exclude_unset=True)
    lora = next(method for method in spec["methods"] if method["name"] == "lora")
    folder = asked.store / "redundancy" / task
    methods = []
    for name, modules in choices.items():
        file = folder / f"{name.replace(' ', '-')}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(lora_config(lora_settings(source), modules), indent=2))
        methods.append(
            {"peft_config": str(file), "label": name, "training": lora["training"]}
        )
    spec |= {"name": f"redundancy-{task}", "tasks": [task], "methods": methods}
    results = peftbench.run(
        spec, store=asked.store, workers=asked.workers, measure_costs=False
    )
    print(
        f"\n{task}: LoRA on modules chosen by {asked.label}, {asked.fraction:g} of its size\n"
    )
    print("| choice | modules | parameters | score |")
    print("|---|--:|--:|--:|")
    for name, modules in choices.items():
        entry = results.summary.entry(results.summary.models[0], name, task)
        interval = entry.interval if entry else None
        half = interval.half_width if interval else None
        said = "–" if interval is None else score(interval.mean)
        said += "" if half is None else f" ± {score(half)}"
        print(f"| {name} | {len(modules)} | {sum(sizes[m] for m in modules):,} | {said} |")


def lora_config(settings: Mapping[str, Any], modules: Sequence[str]) -> dict[str, Any]:
    """The config of `peft` that LoRA's settings mean on these modules, by their full names."""
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "r": settings["rank"],
        "lora_alpha": settings["alpha"],
        "lora_dropout": settings["dropout"],
        "target_modules": sorted(modules),
    }


if __name__ == "__main__":
    main()
