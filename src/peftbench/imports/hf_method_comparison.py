"""Results of Hugging Face peft's `method_comparison`, its MetaMathQA suite.

One JSON file holds one run: see `_hf_result`. The suite trains on MetaMathQA, validates on
50 of its problems and tests on GSM8K; its published training time starts before the data
are tokenised and ends after the test, less the validations.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from peftbench.errors import DataError
from peftbench.evaluation.score import told
from peftbench.evaluation.scores import Score
from peftbench.imports import _files as files
from peftbench.imports._hf_result import Look, Result, read_result
from peftbench.imports._imported import Imported
from peftbench.manifest import Manifest, now
from peftbench.methods._build import about
from peftbench.spec import Cell, CellMethod, CellModel, CellTask, Grade, Limits
from peftbench.spec.facts import TaskFacts
from peftbench.store import Graded, PlannedCell, Provenance, Reported, Trained
from peftbench.store.outcomes import Status
from peftbench.training.validation import Validation

TOOL = "hf-method-comparison"
TASK = "MetaMathQA"
_EXPECTED = (
    "result files of huggingface/peft's method_comparison, such as its "
    "method_comparison/MetaMathQA/results"
)
_TASK = TaskFacts(
    description="MetaMathQA: trained on its worked solutions, tested on GSM8K",
    metric="accuracy",
    unit="fraction correct",
)
#: What the suite writes as the size of a checkpoint that it failed to save.
_SIZE_NOT_KNOWN = 99_999_999
#: What every method's config holds and is no setting of it.
_NO_SETTINGS = (
    "task_type", "peft_type", "auto_mapping", "base_model_name_or_path", "revision",
    "inference_mode", "peft_version",
)  # fmt: skip


def read(path: Path) -> list[Imported]:
    """All runs in a folder of result files; raises `DataError` for what is none.

    Runs of one experiment are told apart by their time.
    """
    folder = files.folder(path, _EXPECTED)
    paths = sorted(folder.glob("*.json")) or sorted(folder.glob("results/*.json"))
    if not paths:
        holds = ", ".join(sorted(p.name for p in folder.iterdir())[:8])
        raise DataError(
            f"{folder} has no .json file (it holds: {holds or 'nothing'}); give a folder "
            f"with {_EXPECTED}."
        )
    results = [(one, read_result(one, folder)) for one in paths]
    shared = Counter(_experiment(result) for _, result in results)
    return [
        _imported(
            folder,
            one,
            result,
            time=result.run_info.created_at or one.stem
            if shared[_experiment(result)] > 1
            else "",
        )
        for one, result in results
    ]


def _experiment(result: Result) -> tuple[str, str]:
    return result.run_info.train_config.model_id, result.run_info.experiment_name


def _imported(folder: Path, path: Path, result: Result, *, time: str) -> Imported:
    with files.checked(path):
        return _as_ours(folder, path, result, time=time)


def _as_ours(folder: Path, path: Path, result: Result, *, time: str) -> Imported:
    model, experiment = _experiment(result)
    digest = files.digest(path, folder)
    info, meta = result.train_info, result.meta_info
    cell = _cell(result, digest)
    error = result.run_info.error_msg or f"The file says: {info.status}."
    done = info.status == "success"
    size = info.file_size
    trained = Trained(
        kind="imported",
        status="finished" if done else _failure(error),
        error=None if done else error,
        manifest=Manifest(
            started_at=result.run_info.created_at,
            platform=meta.platform,
            device=meta.device,
            packages=meta.packages,
        ),
        validations=tuple(_validations(info.validated)),
        steps=max((look.step or 0 for look in info.metrics), default=0),
        trainable_parameters=info.num_trainable_params,
        stored_bytes=None if size == _SIZE_NOT_KNOWN else size,
        provenance=_provenance(folder, path, digest, result),
        reported=_reported(result),
    )
    label = f"{experiment} ({time})" if time else experiment
    return Imported(
        planned=PlannedCell(
            cell=cell, model=model, label=label, task=_TASK, method=about(cell.method)
        ),
        trained=trained,
        graded=_graded(cell, info.test) if done and info.test else None,
    )


def _graded(cell: Cell, test: Look) -> tuple[Grade, Graded]:
    """What the file says that the answers were worth, which it does not hold."""
    scores = tuple(_scores(test))
    asked = tuple(score.metric for score in scores)
    return Grade(predictions=cell.id, metrics=asked, scorer=TOOL), Graded(scores=scores)


def _cell(result: Result, digest: str) -> Cell:
    config, meta = result.run_info.train_config, result.meta_info
    sha = meta.model_info.sha
    data = (f"{name}@{one.sha}" for name, one in meta.dataset_info.items() if one.sha)
    return Cell(
        model=CellModel(
            name=config.model_id,
            identity=f"{config.model_id}@{sha}" if sha else "",
            dtype=config.dtype,
            chat_template=None,
        ),
        method=_method(result),
        task=CellTask(name=TASK, version=0, data=", ".join(data)),
        seed=config.seed,
        training=None,
        max_length=config.max_seq_length,
        limits=Limits(validation=None),
        protocol="hf-method-comparison",
        origin=f"{TOOL} sha256:{digest}",
    )


def _method(result: Result) -> CellMethod:
    config = result.run_info.peft_config
    if config is None:
        return CellMethod(name="full", parameters={})
    name = str(config.get("peft_type", "")).lower().replace("_", "-")
    settings = {
        key: value
        for key, value in config.items()
        if key not in _NO_SETTINGS and value is not None and value not in ({}, [])
    }
    return CellMethod(name=name, parameters=settings)


def _failure(error: str) -> Status:
    return "oom" if "out of memory" in error.lower() else "failed"


def _scores(test: Look) -> Iterator[Score]:
    if test.test_accuracy is not None:
        yield told("accuracy", test.test_accuracy)
    if test.forgetting is not None:
        yield Score(
            metric="forgetting",
            value=test.forgetting,
            standard_error=None,
            examples=None,
            unit="nats per token",
            better="lower",
        )


def _validations(looks: tuple[Look, ...]) -> list[Validation]:
    return [
        Validation(
            step=look.step,
            epoch=None,
            train_loss=look.train_loss,
            score=look.valid_accuracy,
        )
        for look in looks
        if look.step is not None
        and look.train_loss is not None
        and look.valid_accuracy is not None
    ]


def _provenance(folder: Path, path: Path, digest: str, result: Result) -> Provenance:
    meta, config = result.meta_info, result.run_info.train_config
    raw = files.read_json(path, folder)
    rate = config.optimizer_kwargs.get("lr")
    packages = (f"{name} {version}" for name, version in sorted(meta.packages.items()))
    return Provenance(
        tool=TOOL,
        path=str(folder),
        files={path.relative_to(folder).as_posix(): digest},
        imported_at=now(),
        facts={
            "device": meta.device,
            "platform": meta.platform,
            "packages": ", ".join(packages),
        },
        settings=dict(raw["run_info"]["train_config"]),
        learning_rate=float(rate) if isinstance(rate, int | float) else None,
    )


def _reported(result: Result) -> Reported:
    info = result.train_info
    steps = _total([look.train_time for look in info.validated])
    tokens = _total(
        [
            None
            if look.tokens_per_second is None or look.train_time is None
            else look.tokens_per_second * look.train_time
            for look in info.validated
        ]
    )
    return Reported(
        trainable_parameters=info.num_trainable_params,
        total_parameters=info.num_total_params,
        train_seconds=info.train_time,
        step_seconds=steps,
        evaluation_seconds=_total([look.eval_time for look in info.validated]),
        tokens_per_second=tokens / steps if tokens and steps else None,
        memory_mean_bytes=info.memory_mean,
        memory_p99_bytes=info.memory_p99,
        memory_peak_bytes=info.memory_peak,
    )


def _total(values: list[float | None]) -> float | None:
    """The sum of values that are all told; part of them would be no total."""
    told = [value for value in values if value is not None]
    return sum(told) if told and len(told) == len(values) else None
