"""Predictions of PEFT-Factory (arXiv:2512.02764), scored by both protocols.

The same outputs are read twice: as PEFT-Bench's own scorer reads them, and by the strict
rules, for which a published word is translated into the strict label that it stands for.
Prompts are those of the tool in both, so that the difference is that of scoring alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import peftbench
from peftbench import tasks
from peftbench.errors import DataError
from peftbench.evaluation import metrics
from peftbench.evaluation.grading import Reader, published_reader
from peftbench.evaluation.rows import Prediction
from peftbench.evaluation.score import task_facts
from peftbench.imports import _files as files
from peftbench.imports._imported import Imported
from peftbench.imports._peft_factory_folder import PREDICTIONS, Output, find_outputs
from peftbench.manifest import Manifest, now
from peftbench.methods._build import about
from peftbench.planning.wanted import grade_step
from peftbench.spec import Cell, CellMethod, CellModel, CellTask, Limits, Protocol
from peftbench.spec.frozen import digest
from peftbench.store import Graded, PlannedCell, Provenance, Reported, Trained
from peftbench.tasks import peft_bench

TOOL = "peft-factory"
PROTOCOLS: tuple[Protocol, ...] = ("peft-bench", "strict")
_PROMPTS_KEPT = 8
_NOT_TOLD = "not told"
#: The tool's names of methods that we call otherwise.
_METHODS = {"lntuning": "ln-tuning", "mtp": "multitask-prompt-tuning"}


@dataclass(frozen=True)
class ByProtocol:
    """One folder by one protocol: an imported run, or why it could not be scored."""

    output: Output
    protocol: Protocol
    run: Imported | None
    reason: str = ""


def read(path: Path) -> list[ByProtocol]:
    """All folders of predictions at or below a path, each by both protocols.

    Raises `DataError` for broken files, and for a dataset that PEFT-Bench does not have.
    """
    outputs = find_outputs(path)
    labels = _labels(outputs)
    root = path.resolve()
    return [
        _scored(root, output, label, protocol)
        for output, label in zip(outputs, labels, strict=True)
        for protocol in PROTOCOLS
    ]


def _labels(outputs: Sequence[Output]) -> list[str]:
    """What tables call each method; launches of one run are told apart by their time."""
    names = [(one.method or _NOT_TOLD, one.model, one.dataset, one.seed) for one in outputs]
    return [
        f"{name[0]} ({one.time or one.folder.name})" if names.count(name) > 1 else name[0]
        for one, name in zip(outputs, names, strict=True)
    ]


def _scored(root: Path, output: Output, label: str, protocol: Protocol) -> ByProtocol:
    with files.checked(output.folder):
        return _as_ours(root, output, label, protocol)


def _as_ours(root: Path, output: Output, label: str, protocol: Protocol) -> ByProtocol:
    name = output.dataset
    if name not in peft_bench.names():
        raise DataError(
            f"{output.folder} is of the dataset {name!r}, which is none of PEFT-Bench's: "
            f"{', '.join(peft_bench.names())}."
        )
    rows = _rows(output, protocol)
    task = tasks.get(name, protocol)
    read = published_reader(name, task) if protocol == "strict" else None
    found = Reader(task=task, read=read).grade(rows)
    if any(one.is_headline for one in found.unavailable):
        needs = " and ".join(metrics.get(task.headline).needs)
        reason = f"{task.headline} needs {needs}. The files do not hold them."
        return ByProtocol(output, protocol, None, reason)
    cell = _cell(output, protocol)
    step = grade_step(cell, cell.predict())
    graded = Graded(
        scores=found.scores,
        unavailable=found.unavailable,
        scorer=step.scorer,
        peftbench_version=peftbench.__version__,
        task_version=task.version,
        graded_at=now(),
    )
    return ByProtocol(
        output,
        protocol,
        Imported(
            planned=PlannedCell(
                cell=cell,
                model=output.model or _NOT_TOLD,
                label=label,
                task=task_facts(task),
                method=about(cell.method),
            ),
            trained=_trained(root, output),
            predictions=rows,
            marks=found.marks,
            graded=(step, graded),
        ),
    )


def _rows(output: Output, protocol: Protocol) -> list[Prediction]:
    """Every row as it is stored, its label read by a protocol's rules."""
    name = output.dataset
    rule, strict = peft_bench.rule(name), tasks.get(name)
    theirs = tasks.get(name, "peft-bench")
    rows = []
    for number, (prompt, predict, labels) in enumerate(_questions(output)):
        target = (
            rule.strict_answer(labels[0], strict)
            if protocol == "strict"
            else theirs.read_answer(labels[0])
        )
        if target is None and not labels[0].strip():
            continue  # a problem without a solution, which the strict rules leave out
        if target is None:
            raise DataError(
                f"{output.folder / PREDICTIONS}: the label {labels[0]!r} is no answer of "
                f"{name}; expected {' or '.join(theirs.labels) or 'a text that it can read'}."
            )
        rows.append(
            Prediction(
                row=number,
                prompt_sha256=sha256(prompt.encode()).hexdigest() if prompt else "",
                prompt=prompt if prompt and number < _PROMPTS_KEPT else None,
                output=predict,
                target=target,
                references=tuple(labels) if rule.references else (),
            )
        )
    return rows


def _questions(output: Output) -> list[tuple[str, str, list[str]]]:
    """Prompt, prediction and labels: one row each, or, where the published file repeats a
    row for each of its answers, one for each prompt, of which the last prediction counts."""
    found = [
        (str(row.get("prompt") or ""), row["predict"], row["label"]) for row in output.rows
    ]
    if not peft_bench.rule(output.dataset).repeats_rows:
        return [(prompt, predict, [label]) for prompt, predict, label in found]
    questions: dict[str, tuple[str, str, list[str]]] = {}
    for number, (prompt, predict, label) in enumerate(found):
        key = prompt or str(number)
        labels = questions[key][2] if key in questions else []
        questions[key] = prompt, predict, [*labels, label]
    return list(questions.values())


def _cell(output: Output, protocol: Protocol) -> Cell:
    config = {**output.training_config, **output.config}
    method = output.method or _NOT_TOLD
    return Cell(
        model=CellModel(
            name=output.model or _NOT_TOLD,
            identity="",
            dtype="bfloat16" if config.get("bf16") is True else "",
            chat_template=None,
        ),
        method=CellMethod(
            name=_METHODS.get(method, method), parameters=output.method_settings
        ),
        task=CellTask(name=output.dataset, version=0, data=""),
        seed=output.seed,
        training=None,
        max_length=files.whole(config, "cutoff_len") or 0,
        limits=Limits(validation=None, test=files.whole(config, "max_samples") or None),
        protocol=protocol,
        origin=f"{TOOL} sha256:{digest(output.digests)}",
    )


def _trained(root: Path, output: Output) -> Trained:
    facts = {}
    if output.is_on_training_rows:
        facts["evaluated on"] = "training rows: its files name no _eval entry"
    return Trained(
        kind="imported",
        manifest=Manifest(),
        steps=files.whole(output.trainer_state, "global_step") or 0,
        stored_bytes=output.adapter_bytes,
        provenance=Provenance(
            tool=TOOL,
            path=str(root),
            files=output.digests,
            imported_at=now(),
            facts=facts,
            settings={**output.config, **output.training_config, **output.trained},
            learning_rate=output.learning_rate,
        ),
        reported=Reported(train_seconds=output.train_seconds)
        if output.train_seconds is not None
        else None,
    )
