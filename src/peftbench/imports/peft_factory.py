"""Predictions of PEFT-Factory (arXiv:2512.02764), scored by both protocols.

The same outputs are read twice: as PEFT-Bench's own scorer reads them, and by the strict
rules, for which a published word is translated into the strict label that it stands for.
Prompts are those of the tool in both, so that the difference is that of scoring alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

from peftbench import tasks
from peftbench.errors import DataError
from peftbench.evaluation.metrics import Answers
from peftbench.evaluation.score import Grade, grade, task_facts
from peftbench.imports._imported import Imported, manifest, now
from peftbench.imports._peft_factory_folder import PREDICTIONS, Output, find_outputs
from peftbench.methods._build import about
from peftbench.spec import Cell, CellMethod, CellModel, CellTask, Limits, Protocol
from peftbench.spec.frozen import digest
from peftbench.store import PlannedCell, Prediction, Provenance, Record, Reported
from peftbench.tasks import Task, peft_bench

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
    name = output.dataset
    if name not in peft_bench.names():
        raise DataError(
            f"{output.folder} is of the dataset {name!r}, which is none of PEFT-Bench's: "
            f"{', '.join(peft_bench.names())}."
        )
    rows = _rows(output, protocol)
    task = tasks.get(name, protocol)
    answers = Answers(
        predicted=[row.answer for row in rows],
        targets=[row.target for row in rows],
        labels=task.labels,
        references=[row.references for row in rows],
    )
    graded = grade(task, answers)
    if graded.no_headline:
        reason = f"{graded.no_headline} The files do not hold them."
        return ByProtocol(output, protocol, None, reason)
    cell = _cell(output, protocol)
    return ByProtocol(
        output,
        protocol,
        Imported(
            planned=PlannedCell(cell, output.model or _NOT_TOLD, label),
            record=_record(root, output, cell, task, graded),
            predictions=[
                replace(row, score=score)
                for row, score in zip(rows, graded.rows, strict=True)
            ],
        ),
    )


def _rows(output: Output, protocol: Protocol) -> list[Prediction]:
    """Every row as it is stored, read by a protocol's rules."""
    name = output.dataset
    rule, strict = peft_bench.rule(name), tasks.get(name)
    theirs = tasks.get(name, "peft-bench")
    rows = []
    for number, (prompt, predict, labels) in enumerate(_questions(output)):
        if protocol == "strict":
            answer = rule.strict_answer(predict, strict)
            targets = [rule.strict_answer(label, strict) for label in labels]
        else:
            answer = theirs.read_answer(predict)
            targets = [theirs.read_answer(label) for label in labels]
        target = targets[0]
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
                answer=answer,
                target=target,
                score=None,
                likelihood_answer=None,
                label_log_likelihoods=None,
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
    cutoff = config.get("cutoff_len")
    samples = config.get("max_samples")
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
        max_length=cutoff if isinstance(cutoff, int) else 0,
        limits=Limits(
            validation=None, test=samples if isinstance(samples, int) and samples else None
        ),
        protocol=protocol,
        origin=f"{TOOL} sha256:{digest(output.digests)}",
    )


def _record(root: Path, output: Output, cell: Cell, task: Task, graded: Grade) -> Record:
    steps = output.trainer_state.get("global_step")
    facts = {}
    if output.is_on_training_rows:
        facts["evaluated on"] = "training rows: its files name no _eval entry"
    return Record(
        kind="imported",
        cell=cell,
        task=task_facts(task),
        method=about(cell.method),
        status="finished",
        manifest=manifest(),
        scores=graded.scores,
        steps=steps if isinstance(steps, int) else 0,
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
