"""A publication as a report shows it: its own table, and its averages computed anew."""

from __future__ import annotations

from collections.abc import Iterator

from peftbench import tasks
from peftbench.evaluation.score import task_facts, told
from peftbench.manifest import Manifest
from peftbench.methods._build import about
from peftbench.published._file import Published
from peftbench.scoring.claims import explanation
from peftbench.scoring.penalties import pscp
from peftbench.scoring.summarise import summarise
from peftbench.scoring.summary import Claim, Summary
from peftbench.spec import Cell, CellMethod, CellModel, CellTask, Limits
from peftbench.store import PlannedCell, Provenance, Record, Reported


def summary_of(published: Published) -> Summary:
    """Everything that a report on a publication shows."""
    records = list(_records(published))
    summary = summarise(
        published.name,
        {
            "name": published.name,
            "description": published.description,
            "source": published.source,
            "protocol": published.protocol,
        },
        [
            PlannedCell(
                cell=record.cell,
                model=published.model,
                label=label,
                task=record.task,
                method=record.method,
            )
            for label, record in records
        ],
        {record.cell.id: record for _, record in records},
        [],
        lambda _cell: None,
    )
    return summary.model_copy(update={"claims": tuple(_claims(published))})


def _records(published: Published) -> Iterator[tuple[str, Record]]:
    for task, row in published.tasks.items():
        for label in published.columns:
            value = published.score(label, task)
            assert value is not None
            yield (
                label,
                Record(
                    kind="published",
                    cell=_cell(published, label, task),
                    task=task_facts(tasks.get(task, published.protocol)),
                    method=about(_cell(published, label, task).method),
                    status="finished",
                    manifest=Manifest(),
                    scores=(told(row.metric, value / 100),),
                    trainable_parameters=published.methods[label].trainable_parameters,
                    provenance=Provenance(tool=published.title, path=published.source),
                    reported=_reported(published, label),
                ),
            )


def _cell(published: Published, label: str, task: str) -> Cell:
    method = published.methods[label]
    return Cell(
        model=CellModel(
            name=published.model, identity="", dtype="bfloat16", chat_template=True
        ),
        method=CellMethod(name=method.method, parameters=method.parameters),
        task=CellTask(name=task, version=0, data=""),
        seed=None,
        training=None,
        max_length=0,
        limits=Limits(validation=None),
        protocol=published.protocol,
        origin=f"published {published.name}",
    )


def _reported(published: Published, label: str) -> Reported | None:
    method = published.methods[label]
    if method.forward_tflops is None or method.peak_memory_gb is None:
        return None
    extra = round(method.forward_tflops - published.base_forward_tflops, 2)
    return Reported(
        trainable_parameters=method.trainable_parameters,
        extra_forward_flops=extra * 1e12,
        memory_peak_bytes=method.peak_memory_gb * 1e9,
    )


def _claims(published: Published) -> Iterator[Claim]:
    """The stated averages, beside those of the table."""
    for label, method in published.methods.items():
        if method.mean_score is None:
            continue
        found = {task: published.score(label, task) for task in published.tasks}
        scores = {task: score for task, score in found.items() if score is not None}
        complete = len(scores) == len(published.tasks)
        mean = sum(scores.values()) / len(scores) if complete else None
        costs = _reported(published, label)
        yield Claim(
            model=published.model,
            method=label,
            stated_mean=method.mean_score,
            stated_pscp=method.pscp,
            mean=mean,
            pscp=None if mean is None or costs is None else _pscp(mean, costs),
            explanation=explanation(scores, method.mean_score)
            if complete
            else "its scores are not in this publication",
        )


def _pscp(mean: float, costs: Reported) -> float:
    return pscp(
        mean,
        costs.trainable_parameters or 0,
        (costs.extra_forward_flops or 0.0) / 1e12,
        (costs.memory_peak_bytes or 0.0) / 1e9,
    )
