"""From a spec to its cells, with nothing loaded: everything is checked here first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from peftbench import tasks
from peftbench.encoding.encode import chat_rendering
from peftbench.errors import InvalidSpec, ModelError
from peftbench.evaluation import metrics
from peftbench.evaluation.fit import check_metrics
from peftbench.evaluation.score import task_facts
from peftbench.methods import Method
from peftbench.methods._budget import solve
from peftbench.methods._build import about, build, cell_method
from peftbench.models import ModelSource, Shapes, resolve
from peftbench.models._device import resolved_dtype, resolved_precision
from peftbench.planning.attachment import check_attachment
from peftbench.planning.perturbed import perturbed_sets
from peftbench.spec import (
    Benchmark,
    Cell,
    CellModel,
    CellTask,
    MethodChoice,
    ModelChoice,
    Sampling,
    SettledBudget,
    Training,
)
from peftbench.store import PlannedCell
from peftbench.tasks._data import data_identity, further_tests


@dataclass(frozen=True)
class Plan:
    """A benchmark's cells, in the order they are run, and the models they need."""

    benchmark: Benchmark
    cells: tuple[PlannedCell, ...]
    models: Mapping[str, ModelSource]  # by identity
    data_dir: Path | None
    without_rows: tuple[str, ...] = ()  # perturbed sets that there are no rows of


def make_plan(benchmark: Benchmark, data_dir: Path | None = None) -> Plan:
    """Expand a benchmark; raises on any name, setting or file that does not exist.

    Cells of one model stand together, so that a worker loads it once; within a model,
    tasks and methods take turns seed by seed, so that early results cover the grid.
    """
    built = [(choice, build(choice)) for choice in benchmark.methods]
    names = [tasks.use(task) for task in benchmark.tasks]
    for name in names:
        asked = tasks.get(name, benchmark.protocol)
        for metric in asked.metrics:
            metrics.get(metric)
        if tasks.source(name) is not None:  # ours are held to it by a test
            check_metrics(name, asked)
    data = {
        task: data_identity(task, data_dir=data_dir, protocol=benchmark.protocol)
        for task in names
    }
    sources = [(choice, resolve(choice)) for choice in benchmark.models]
    for model, source in sources:
        _check_supported(model, source, built)
        check_attachment(model.name, source, built)
    perturbed, without_rows = (
        perturbed_sets(benchmark, data_dir) if benchmark.robust else ({}, ())
    )
    facts = {task: task_facts(tasks.get(task, benchmark.protocol)) for task in names}
    further = {
        task: further_tests(task, data_dir=data_dir, protocol=benchmark.protocol)
        for task in names
    }
    planned = [
        PlannedCell(
            cell=_cell(benchmark, model, source, choice, method, task, data[task], seed),
            model=_shown(model, benchmark.models),
            label=choice.label,
            task=facts[task],
            method=about(cell_method(choice, method)),
            budget=settled,
            further_tests=further[task],
            perturbed=perturbed.get(task, ()),
        )
        for model, source in sources
        for sized in [[_sized(choice, method, source) for choice, method in built]]
        for seed in benchmark.seeds
        for task in names
        for choice, method, settled in sized
        if method.trains or seed == benchmark.seeds[0]
    ]
    return Plan(
        benchmark,
        tuple(planned),
        {source.identity: source for _, source in sources},
        data_dir,
        without_rows,
    )


def _sized(
    choice: MethodChoice, method: Method, source: ModelSource
) -> tuple[MethodChoice, Method, SettledBudget | None]:
    """The method in the size that the choice's budget asks for on this model."""
    if choice.budget is None:
        return choice, method, None
    if method.budget_knob in choice.parameters:
        raise InvalidSpec(
            f"methods: {choice.label}: the budget decides {method.budget_knob}, and "
            "parameters says it too; leave one of them out."
        )
    try:
        shapes = Shapes.from_config(source.config)
    except ModelError:
        shapes = Shapes.from_meta_model(source.config)
    turned, settled = solve(f"methods: {choice.label}", method, shapes, choice.budget)
    return choice, turned, settled


def _check_supported(
    model: ModelChoice, source: ModelSource, built: Sequence[tuple[MethodChoice, Method]]
) -> None:
    """Refuse methods that say that they cannot adapt models of this type or precision."""
    for kind in (
        str(source.config.get("model_type")),
        resolved_dtype(model.dtype, source.config),
    ):
        refused = {
            choice.label: method.unsupported[kind]
            for choice, method in built
            if kind in method.unsupported
        }
        if refused:
            reasons = "".join(f"\n  {label}: {reason}" for label, reason in refused.items())
            raise InvalidSpec(
                f"{', '.join(refused)} cannot adapt a {kind} model, which {model.name} is; "
                f"leave them out for it:{reasons}"
            )


def _shown(model: ModelChoice, models: Sequence[ModelChoice]) -> str:
    """What tables call a model: its name, with the revision where it is there twice."""
    if sum(other.name == model.name for other in models) == 1:
        return model.name
    return f"{model.name}@{model.revision or 'newest'}"


def _cell(
    benchmark: Benchmark,
    model: ModelChoice,
    source: ModelSource,
    choice: MethodChoice,
    method: Method,
    task: str,
    data: str,
    seed: int,
) -> Cell:
    said = benchmark.training.model_dump(exclude_unset=True)
    training = choice.training.over(method.training, said)
    if training.steps is not None:  # `epochs` then decides nothing
        training = training.model_copy(update={"epochs": Training().epochs})
    if training.gradient_checkpointing and not method.recomputes:
        raise InvalidSpec(
            f"methods: {choice.label}: {choice.name} does not go together with gradient "
            "checkpointing; give this method `training: {gradient_checkpointing: false}`."
        )
    dtype = resolved_dtype(model.dtype, source.config)
    return Cell(
        model=CellModel(
            name=model.name,
            identity=source.identity,
            dtype=dtype,
            chat_template=model.chat_template,
            chat_rendering=chat_rendering(source) if model.chat_template else None,
        ),
        method=cell_method(choice, method),
        task=CellTask(
            name=task,
            version=tasks.get(task, benchmark.protocol).version,
            data=data,
            source=tasks.source(task),
        ),
        seed=seed if method.trains else None,
        training=training.settled(resolved_precision(training.precision, dtype))
        if method.trains
        else None,
        max_length=training.max_length,
        limits=benchmark.limits,
        sampling=_sampling(benchmark, task),
        protocol=benchmark.protocol,
    )


def _sampling(benchmark: Benchmark, task: str) -> Sampling | None:
    """Only where a metric takes samples: elsewhere they would make another cell of nothing."""
    names = tasks.get(task, benchmark.protocol).metrics
    takes_samples = any(metrics.get(name).samples for name in names)
    return benchmark.sampling if benchmark.sampling.samples and takes_samples else None
