"""Cells and results made up by hand, for tests of what reads and keeps them: no model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from peftbench.cost.costs import Cost, Memory
from peftbench.evaluation.rows import Mark, Prediction
from peftbench.evaluation.scores import Score
from peftbench.manifest import Manifest
from peftbench.spec import (
    AnyStep,
    Cell,
    CellMethod,
    CellModel,
    CellTask,
    Grade,
    Limits,
    Predict,
    Probe,
    Training,
)
from peftbench.spec.facts import Better, MethodFacts, TaskFacts
from peftbench.store import (
    ADAPTER,
    Graded,
    Lease,
    Look,
    PlannedCell,
    Predicted,
    Store,
    Trained,
    Work,
    write_marks,
    write_predictions,
)
from peftbench.store.outcomes import AnyOutcome
from peftbench.training.validation import Validation

#: The headline of all that is made up here.
METRIC = "accuracy"


def planned(
    seed: int = 1,
    *,
    task: str = "sst2",
    label: str = "lora",
    model: str = "tiny",
    **more: Any,
) -> PlannedCell:
    """A cell that trains; `more` are further fields of `PlannedCell`."""
    cell = Cell(
        model=CellModel(
            name=model, identity=f"sha256:{model}", dtype="float32", chat_template=False
        ),
        method=CellMethod(name=label, parameters={"rank": 8}),
        task=CellTask(name=task, version=1, data="generated v1"),
        seed=seed,
        training=Training(),
        max_length=128,
        limits=Limits(),
        protocol="strict",
    )
    facts = TaskFacts(
        description=f"the task {task}",
        metric=METRIC,
        unit="fraction correct",
        better="higher",
    )
    values: dict[str, Any] = {"cell": cell, "model": model, "label": label, "task": facts}
    return PlannedCell(**values, method=MethodFacts(family="reparameterised"), **more)


def work(one: PlannedCell) -> Work:
    """All steps of a cell, as one piece of work."""
    train = one.cell.train
    looks = tuple(Look(predict=p, grade=grade(p)) for p in one.predicts)
    unit = train.id if train else one.cell.id
    return Work(unit=unit, model=one.model, train=train, looks=looks)


def grade(predict: Predict, scorer: str = "1") -> Grade:
    """How the answers are graded; another scorer, another step."""
    return Grade(predictions=predict.id, metrics=(METRIC,), scorer=scorer)


def commit(
    store: Store, one: PlannedCell, value: float = 0.5, lease: Lease | None = None
) -> None:
    """All results of a cell that scores `value`, with their files."""
    for step, outcome, staged in made(store, one, value, lease.token if lease else None):
        store.results.commit(lease, step, outcome, staged)


def made(
    store: Store, one: PlannedCell, value: float = 0.5, token: int | None = None
) -> Iterator[tuple[AnyStep, AnyOutcome, Path]]:
    """The results of a cell that scores `value`, one after the other, their files staged."""
    wanted = work(one)
    token = store.results.new_token() if token is None else token
    if wanted.train:
        folder = store.results.staging(wanted.train.id, token)
        write_adapter(folder, f"{one.name} {value}")
        yield wanted.train, trained(value), folder
    for look in wanted.looks:
        folder = store.results.staging(look.predict.id, token)
        write_predictions(folder, predictions())
        yield look.predict, Predicted(examples=2, manifest=manifest()), folder
        assert look.grade is not None
        folder = store.results.staging(look.grade.id, token)
        write_marks(folder, [Mark(answer="yes", score=1.0), Mark(answer=None, score=0.0)])
        yield look.grade, graded(value, look.predict.test_set.name), folder


def trained(value: float = 0.5, **more: Any) -> Trained:
    """A run that reached `value` on the validation part."""
    looks = (Validation(step=4, epoch=1.0, train_loss=1.0, score=value),)
    values: dict[str, Any] = {
        "manifest": manifest(),
        "validations": looks,
        "steps": 4,
        "best_step": 4,
        "trainable_parameters": 1000,
        "seconds": {"train": 1.0},
        "wall_seconds": 1.0,
    }
    return Trained(**values | more)


def graded(value: float = 0.5, test_set: str = "test") -> Graded:
    """A grade with this score."""
    return Graded(
        manifest=manifest(), scores=(score(value, test_set=test_set),), scorer="1"
    )


def score(value: float, *, test_set: str = "test", better: Better = "higher") -> Score:
    """An accuracy with a standard error of 0.01."""
    return Score(
        test_set=test_set,
        metric=METRIC,
        value=value,
        standard_error=0.01,
        examples=2,
        unit="fraction correct",
        better=better,
    )


def cost(one: PlannedCell, step_seconds: float = 0.1) -> Cost:
    """What the method of a cell costs on its model."""
    memory = Memory(total=9, weights=5, adapter=1, gradients=1, optimizer=1, activations=1)
    return Cost(
        model=one.model,
        model_identity=one.cell.model.identity,
        dtype=one.cell.model.dtype,
        method=one.cell.method,
        probe=Probe(),
        device="cpu (h)",
        trainable_parameters=1000,
        base_parameters=10_000,
        stored_bytes=4000,
        forward_flops=20_000,
        extra_forward_flops=2000,
        training_step_flops=60_000,
        peak_memory=memory,
        step_seconds=step_seconds,
        step_seconds_spread=0.0,
        packages={},
    )


def manifest(started_at: str = "t") -> Manifest:
    """Of no machine in particular."""
    return Manifest(
        started_at=started_at, finished_at="t", host="h", platform="p", device="cpu",
        threads=1, packages={}, git_commit=None, git_dirty=None,
        initial_adapter_sha256=None, chat_template=False,
    )  # fmt: skip


def predictions() -> Sequence[Prediction]:
    """Two answers, one of them unreadable."""
    return [
        Prediction(
            row=row, prompt_sha256=f"{row}", prompt="p", output=output, target="yes",
            likelihood_answer="yes", label_log_likelihoods=(-0.1, -2.0),
        )
        for row, output in enumerate(("yes", "what?"))
    ]  # fmt: skip


def write_adapter(folder: Path, weights: str) -> None:
    """Files of an adapter in a staged folder."""
    (folder / ADAPTER).mkdir()
    (folder / ADAPTER / "adapter_config.json").write_text("{}")
    (folder / ADAPTER / "adapter_model.safetensors").write_text(weights)
