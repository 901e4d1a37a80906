"""What went in and what went wrong: methods, tasks, failures, machines, the spec."""

from __future__ import annotations

import json

from peftbench.manifest import Manifest
from peftbench.report import numbers
from peftbench.report.table import Cell, Column, Row, Table, counted, empty, listed
from peftbench.scoring.summary import MethodInfo, Precision, Summary, TaskInfo
from peftbench.spec import SettledBudget
from peftbench.spec.facts import Leak


def trouble_table(summary: Summary) -> Table:
    """Cells without a score; seeds with the same outcome share a row."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for trouble in summary.troubles:
        key = (trouble.method, trouble.model, trouble.task, trouble.status, trouble.reason)
        groups.setdefault(key, []).append(trouble.seed)
    return Table(
        name="troubles",
        title="Failures and missing runs",
        caption=f"{counted(len(summary.troubles), 'run')} without a score.",
        columns=_text_columns("Method", "Base model", "Task", "Seeds", "Status", "Reason"),
        rows=tuple(
            _text_row(method, model, task, ", ".join(seeds), status, reason)
            for (method, model, task, status, reason), seeds in groups.items()
        ),
    )


def method_table(summary: Summary) -> Table:
    """The settings behind every label."""
    return Table(
        name="methods",
        title="Methods",
        caption="Methods with all their settings."
        + (
            " Of what tuning chose differently from task to task, all values are named."
            if any(method.varied for method in summary.methods)
            else ""
        ),
        columns=(
            *_text_columns("Label", "Method", "Settings"),
            Column(title="Learning rate", sorts_first="ascending"),
            *_text_columns("Family", "Paper"),
        ),
        rows=tuple(
            _text_row(
                method.label,
                method.name,
                _settings(method),
                _learning_rate(method),
                method.family,
                method.paper,
            )
            for method in summary.methods
        ),
        notes=tuple(filter(None, (_precision(summary, model) for model in summary.models))),
    )


def differ_in_precision(summary: Summary, model: str) -> bool:
    """Whether cells on a model were computed in several precisions."""
    found = summary.precisions_on(model)
    told = [{one.weights for one in found}, {one.training for one in found}]
    return any(len(names - {""}) > 1 for names in told)


def task_table(summary: Summary) -> Table:
    """What every task asks, and how its answers are scored."""
    return Table(
        name="tasks",
        title="Tasks",
        caption="Tasks with their headline metric. A baseline gives one answer to every "
        "prompt; it is the same for all methods.",
        columns=(
            *_text_columns("Task", "Description", "Headline metric", "Better"),
            Column(title="Test examples"),
            *_text_columns("Baselines"),
        ),
        rows=tuple(
            _text_row(
                task.name,
                task.description,
                f"{task.metric} ({task.unit})" if task.unit else task.metric,
                task.better,
                Cell(text=numbers.count(task.test_examples), value=task.test_examples),
                "; ".join(
                    f"{baseline.name} “{baseline.answer}”: {numbers.score(baseline.value)}"
                    for baseline in task.baselines
                )
                or numbers.NOTHING,
            )
            for task in summary.tasks
        ),
        notes=tuple(_leaks(task) for task in summary.tasks if task.leaks),
    )


def _precision(summary: Summary, model: str) -> str:
    """In what precision cells on a model were computed, in words; empty where nobody tells."""
    found = [one for one in summary.precisions_on(model) if one.weights or one.training]
    if differ_in_precision(summary, model):
        said = "; ".join(f"{listed(one.methods)} with {_said(one)}" for one in found)
    else:
        said = max((_said(one) for one in found), key=len, default="")
    return f"{model}: {said}." if said else ""


def _said(precision: Precision) -> str:
    told = {"weights": precision.weights, "training": precision.training}
    return ", ".join(f"{what} in {value}" for what, value in told.items() if value)


def _leaks(task: TaskInfo) -> str:
    """What of a task stands in two splits, in words."""
    return f"{task.name}: {listed(map(_leak, task.leaks))}."


def _leak(leak: Leak) -> str:
    what = leak.what.removeprefix("normalised ")
    how = "" if what == leak.what else ", normalised"
    return f"{leak.count:,} {what} in both {'/'.join(leak.splits)}{how}"


def machine_facts(manifest: Manifest) -> tuple[tuple[str, str], ...]:
    """Where and with what records were made, as terms and their values."""
    return (
        ("Device", manifest.device),
        ("Host", f"{manifest.host}, {counted(manifest.threads, 'thread')}"),
        ("Platform", manifest.platform),
        ("peftbench commit", commit(manifest)),
        ("Chat template", "used" if manifest.chat_template else "not used"),
        *(
            (("Programs run in", manifest.programs_run_in),)
            if manifest.programs_run_in
            else ()
        ),
        *(
            (("Without repeatable kernels", ", ".join(manifest.not_repeatable)),)
            if manifest.not_repeatable
            else ()
        ),
        ("First record", manifest.started_at),
        ("Packages", ", ".join(f"{n} {v}" for n, v in sorted(manifest.packages.items()))),
    )


def commit(manifest: Manifest) -> str:
    """The commit of the working tree, and whether it was clean."""
    if manifest.git_commit is None:
        return "none: installed from a package"
    clean = {True: "with uncommitted changes", False: "clean", None: "state unknown"}
    return f"{manifest.git_commit} ({clean[manifest.git_dirty]})"


def spec_yaml(summary: Summary) -> str:
    """The spec as a YAML file would give it."""
    import yaml

    spec = summary.model_dump(mode="json", include={"spec"})["spec"]
    return yaml.safe_dump(spec, sort_keys=False, allow_unicode=True, width=88)


def _text_columns(*titles: str) -> tuple[Column, ...]:
    return tuple(
        Column(title=title, is_number=False, sorts_first="ascending") for title in titles
    )


def _text_row(header: str, *texts: str | Cell) -> Row:
    cells = (Cell(text=text) if isinstance(text, str) else text for text in texts)
    return Row(header=header, cells=tuple(cells))


def _learning_rate(method: MethodInfo) -> Cell:
    chosen = method.varied.get("learning_rate")
    if chosen:
        return Cell(text=f"{min(chosen):g} to {max(chosen):g}", value=min(chosen))
    value = method.learning_rate
    return empty() if value is None else Cell(text=f"{value:g}", value=value)


def _settings(method: MethodInfo) -> str:
    """All settings; that which a budget chose, once for every model, with its budget."""
    turned = {budget.knob for budget in method.budgets.values()}
    values = {
        **{name: (value,) for name, value in method.parameters.items()},
        **method.varied,
    }
    said = [
        f"{name} {' or '.join(v if isinstance(v, str) else json.dumps(v) for v in values[name])}"
        for name in method.parameters
        if name not in turned
    ]
    said += [f"{model}: {budget_text(budget)}" for model, budget in method.budgets.items()]
    return ", ".join(said) or "none"


def budget_text(budget: SettledBudget) -> str:
    """What a budget came to: "rank 13 for trainable_fraction 0.1, achieved 0.0987"."""
    return (
        f"{budget.knob} {budget.value} for {budget.unit} {budget.requested:g}, achieved "
        f"{budget.achieved:.4g}"
    )
