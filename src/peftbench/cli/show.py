"""`peftbench show`: all that is known of one cell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from peftbench.cli import _options as options
from peftbench.cli._app import app
from peftbench.cli._say import say
from peftbench.errors import InvalidSpec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from peftbench.cli._print import Terminal
    from peftbench.store import PlannedCell, Record, Result, Store


def _print_scores(scored: Any, console: Terminal) -> None:
    """Of a record, or of its predictions scored again."""
    for score in scored.scores:
        error = (
            "" if score.standard_error is None else f" (s.e. {score.standard_error:.4f})"
        )
        console.print(
            f"  {_place(score)}: {score.value:.4f}{error}"
            + ("" if score.examples is None else f" on {score.examples} examples"),
            markup=False,
        )
    for missing in getattr(scored, "unavailable", ()):
        console.print(f"  {_place(missing)}: unavailable: {missing.reason}")
    for baseline in scored.baselines:
        console.print(
            f"  baseline, {baseline.name} {baseline.answer!r}: {baseline.value:.4f}",
            markup=False,
        )


def _place(score: Any) -> str:
    """The metric, and the test set where it is not the task's own test split."""
    from peftbench.evaluation.scores import TEST

    where = "" if score.test_set == TEST else f" on {score.test_set}"
    return f"{score.metric}{where}"


#: Of an import, where 0 stands for what it does not tell.
_ZERO_IS_NOT_TOLD = ("threads", "version", "max_length", "steps", "resumed")


@app.command()
def show(
    cell: Annotated[
        str,
        typer.Argument(
            help="The beginning of an id, of a trial too, or a name: lora/sst2/1."
        ),
    ],
    store: options.ExistingStore,
    benchmark: options.BenchmarkName = None,
    examples: Annotated[int, typer.Option(min=0, help="Predictions to print.")] = 5,
    as_json: options.Json = False,
) -> None:
    """Show one cell: settings, scores, validations, provenance, example predictions."""
    from peftbench.api import find_cell, stored_benchmark
    from peftbench.cli._print import Terminal
    from peftbench.store import Store

    with Store.open(store, create=False) as opened:
        named = [benchmark] if benchmark else opened.benchmark_names()
        cells = [one for name in named for one in stored_benchmark(opened, name).cells]
        if run := _run_alone(opened, cells, cell):
            _print_run(run, as_json)
            return
        planned = find_cell(cells, cell)
        record = opened.record(planned)
        if record is None:
            raise InvalidSpec(f"The cell {planned.name} has not been run yet.")
        table = opened.predictions(planned.cell.id)
        grades = opened.results.looking_at([planned.cell.id], "grade")
    again = [one.outcome for one in grades.get(planned.cell.id, ())][:-1]
    rows = table.slice(0, examples).to_pylist() if table is not None else []
    if as_json:
        import json

        found = {
            **record.model_dump(mode="json"),
            "name": planned.name,
            "id": planned.cell.id,
            "train": planned.cell.train.id if planned.cell.train else None,
            "earlier_grades": [one.model_dump(mode="json") for one in again],
            "predictions": rows,
        }
        say(json.dumps(found, indent=2))
        return
    console = Terminal(highlight=False, soft_wrap=True)
    console.print(planned.name, style="bold")
    _print_record(record, again, console)
    for row in rows:
        _print_prediction(row, console)


def _run_alone(store: Store, cells: Sequence[PlannedCell], name: str) -> Result | None:
    """The run of a trial, which no cell has, if it is what is asked for."""
    own = {one.cell.train.id for one in cells if one.cell.train}
    if len(name) < 4:
        return None
    kinds = ("train", "trial")
    found = [run for kind in kinds for run in store.results.beginning_with(name, kind)]
    return found[0] if len(found) == 1 and found[0].step.id not in own else None


def _print_run(run: Result, as_json: bool) -> None:
    """Settings, validations and provenance; a trial is not asked the test split."""
    import json

    import yaml

    said = {
        "id": run.step.id,
        "kind": run.step.kind,
        **run.outcome.model_dump(mode="json"),
        "asked": run.step.model_dump(mode="json"),
    }
    say(
        json.dumps(said, indent=2)
        if as_json
        else yaml.safe_dump(said, sort_keys=False, allow_unicode=True).rstrip()
    )


def _print_record(record: Record, earlier: Sequence[Any], console: Terminal) -> None:
    import yaml

    cell = record.cell
    asked = cell.model_dump(mode="json")
    whose = "" if record.kind == "run" else f" ({record.kind}, not run here)"
    console.print(f"cell {cell.id}: {record.status}{whose}", style="bold")
    if cell.train:
        kept = "kept" if record.has_adapter else "not kept"
        console.print(f"trained by step {cell.train.id}; its adapter is {kept}")
    if record.error:
        console.print(record.error)
    _print_scores(record, console)
    for one in earlier:
        console.print(
            f"graded before, {one.graded_at} by peftbench {one.peftbench_version} "
            f"(task version {one.task_version}, scorer {one.scorer[:12]}):",
            markup=False,
        )
        _print_scores(one, console)
    for evaluation in record.evaluations:
        console.print(f"  on {evaluation.test_set.name}: {_compared(evaluation)}")
    for look in record.validations:
        chosen = "  <- kept" if look.step == record.best_step else ""
        console.print(
            f"  step {look.step}"
            + ("" if look.epoch is None else f" (epoch {look.epoch:.2f})")
            + ": training loss "
            f"{look.train_loss:.4f}, validation {look.score:.4f}{chosen}",
            markup=False,
        )
    rest = record.model_dump(
        mode="json",
        include={
            "trainable_parameters",
            "stored_bytes",
            "micro_batch_size",
            "counts",
            "facts",
            "seconds",
            "manifest",
            "provenance",
            "reported",
        },
    )
    if record.kind != "run":
        asked, rest = _told(asked), _told(rest)
    for part in ({"asked": asked}, rest):
        text = yaml.safe_dump(part, sort_keys=False, allow_unicode=True)
        console.print(text.rstrip())


def _compared(evaluation: Any) -> str:
    """A score on a perturbed set beside that on the test split, in one line."""
    found = evaluation.comparison
    if found is None:
        return f"not scored: {evaluation.error}"
    [score, *_] = found.scores
    return (
        f"{score.metric} {score.value:.4f} on {score.examples} examples, clean "
        f"{found.clean.value:.4f} (constants {found.constant.value:.4f} and "
        f"{found.clean_constant.value:.4f})"
    )


def _told(part: Any) -> Any:
    """Without what an import does not tell."""
    if not isinstance(part, dict):
        return part
    told = ((name, _told(value)) for name, value in part.items())
    return {
        name: value
        for name, value in told
        if value not in (None, "", {}, []) and (value or name not in _ZERO_IS_NOT_TOLD)
    }


def _print_prediction(row: dict[str, Any], console: Terminal) -> None:
    console.print(f"\nrow {row['row']}", style="bold")
    if row["prompt"]:
        console.print(row["prompt"], style="dim")
    answer = "unreadable" if row["answer"] is None else repr(row["answer"])
    score = "" if row["score"] is None else f", counts {row['score']:.3g}"
    console.print(
        f"wrote {row['output']!r}, read as {answer}; target {row['target']!r}{score}",
        markup=False,
    )
