"""Adapters on perturbed test sets: right after training, or later from those kept."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from peftbench import manifest as facts
from peftbench.engine.perturbed import perturbed_sets
from peftbench.engine.plan import Plan, rebuild_method
from peftbench.errors import CellFailed, ModelError
from peftbench.models import resolve
from peftbench.spec import Cell, from_mapping
from peftbench.store import Evaluated, PlannedCell, Record, Store, StoredBenchmark
from peftbench.store.evaluation import Evaluation, PerturbedCounts, TestSet
from peftbench.tasks.perturbations._load import PerturbedData, load_perturbed

if TYPE_CHECKING:
    from torch import nn

    from peftbench.evaluation.metrics import Answers
    from peftbench.evaluation.scores import PerturbedScores
    from peftbench.manifest import Manifest
    from peftbench.models._load import BaseModel

log = logging.getLogger(__name__)


@dataclass
class PerturbedSets:
    """The perturbed sets of a plan, loaded when a cell first needs them."""

    plan: Plan
    loaded: dict[str, list[PerturbedData]] = field(default_factory=dict)

    def of(self, task: str) -> list[PerturbedData]:
        """Those of one task; raises `DataError` for rows that are broken."""
        if task not in self.loaded:
            self.loaded[task] = [
                load_perturbed(
                    one.name,
                    task,
                    data_dir=self.plan.data_dir,
                    limit=self.plan.benchmark.limits.test,
                )
                for one in self.plan.perturbed.get(task, ())
            ]
        return self.loaded[task]

    def check(self) -> None:
        """Load all of them, so that broken rows are found before anything runs."""
        for task in self.plan.perturbed:
            self.of(task)


@dataclass(frozen=True)
class Examiner:
    """Scores the adapters of one base model on perturbed sets."""

    cell: Cell
    base: BaseModel
    staging: Path
    manifest: Callable[[], Manifest]

    def evaluate(
        self,
        adapted: nn.Module,
        clean: Answers,
        sets: Sequence[tuple[TestSet, PerturbedData]],
    ) -> list[Evaluated]:
        """Every set, with its files in `staging`. One that fails is stored with its reason
        and takes nothing from the cell's own result."""
        return [self._evaluate(adapted, clean, *one) for one in sets]

    def _evaluate(
        self, adapted: nn.Module, clean: Answers, test_set: TestSet, data: PerturbedData
    ) -> Evaluated:
        start = time.perf_counter()
        try:
            evaluation = self._scored(adapted, clean, test_set, data)
        except CellFailed as error:
            evaluation = self._evaluation(test_set, error=str(error))
        seconds = {"evaluate": round(time.perf_counter() - start, 4)}
        evaluation = evaluation.model_copy(
            update={"seconds": seconds, "manifest": self.manifest()}
        )
        return Evaluated(evaluation, self._folder(evaluation))

    def _scored(
        self, adapted: nn.Module, clean: Answers, test_set: TestSet, data: PerturbedData
    ) -> Evaluation:
        from peftbench import tasks
        from peftbench.engine.reading import encoder_of, longest_input
        from peftbench.engine.scored import Scored, predict
        from peftbench.evaluation.predict import Predictor
        from peftbench.evaluation.score import compared, merged
        from peftbench.store import predictions_file, write_predictions

        task = tasks.get(data.task)
        encoder = encoder_of(self.cell, self.base)
        room = longest_input(self.cell, rebuild_method(self.cell), self.base)
        predictor = Predictor(adapted, encoder, room)
        scored = Scored(
            task,
            data.examples,
            predict(predictor, task, data.examples),
            data.reading.merge,
            test_set=test_set.name,
        )
        evaluation = self._evaluation(
            test_set,
            comparison=compared(
                task, scored.scores(), scored.answers, merged(clean, data.reading, task)
            ),
            counts=PerturbedCounts(
                examples=len(data.examples),
                rows_not_asked=data.rows_not_asked,
                prompts_cut=predictor.prompts_cut(
                    [example.prompt for example in data.examples], task.answer_bound
                ),
            ),
        )
        write_predictions(
            self._folder(evaluation) / predictions_file(), scored.predictions(encoder)
        )
        return evaluation

    def _evaluation(
        self,
        test_set: TestSet,
        *,
        comparison: PerturbedScores | None = None,
        counts: PerturbedCounts | None = None,
        error: str | None = None,
    ) -> Evaluation:
        return Evaluation(
            cell_id=self.cell.id,
            test_set=test_set,
            manifest=self.manifest(),
            comparison=comparison,
            counts=counts,
            error=error,
        )

    def _folder(self, evaluation: Evaluation) -> Path:
        folder = self.staging / evaluation.id
        folder.mkdir(parents=True, exist_ok=True)
        return folder


def pair_sets(
    plan: Plan, task: str, loaded: Sequence[PerturbedData]
) -> list[tuple[TestSet, PerturbedData]]:
    """Each set of the plan with its rows."""
    return list(zip(plan.perturbed.get(task, ()), loaded, strict=True))


def plan_of(stored: StoredBenchmark, data_dir: Path | None) -> Plan:
    """The plan of a benchmark that was run, with the perturbed sets that there are now.

    Raises `ModelError` where a base model is not what it was when the cells ran.
    """
    benchmark = from_mapping({**stored.spec, "robust": True})
    sources = {s.identity: s for s in map(resolve, benchmark.models)}
    for planned in stored.cells:
        if planned.cell.model.identity not in sources:
            raise ModelError(
                f"The base model {planned.model} is not the one that {stored.name} was run "
                f"on: it was {planned.cell.model.identity}. Adapters fit that one alone; put "
                "it back, or run the benchmark again."
            )
    perturbed, without_rows = perturbed_sets(benchmark, data_dir)
    return Plan(benchmark, stored.cells, sources, data_dir, perturbed, without_rows)


@dataclass(frozen=True)
class Outstanding:
    """What `--robust` asks for and the store does not hold."""

    can_be_scored: tuple[PlannedCell, ...]
    """Finished, with an adapter kept or none to keep."""
    must_run_again: tuple[PlannedCell, ...]
    """Finished, and the adapter is gone."""


def outstanding(plan: Plan, store: Store) -> Outstanding:
    """The finished cells of a plan that lack a score on one of its perturbed sets."""
    records = store.records(planned.cell.id for planned in plan.cells)
    known = store.evaluations.by_cell(records)
    lacking = [
        planned
        for planned in plan.cells
        if _is_finished(records.get(planned.cell.id))
        and _missing(plan, planned.cell, known.get(planned.cell.id, ()))
    ]
    able = [
        planned
        for planned in lacking
        if planned.cell.training is None
        or store.evaluations.adapter(planned.cell.id) is not None
    ]
    return Outstanding(
        tuple(able), tuple(planned for planned in lacking if planned not in able)
    )


def evaluate_kept(
    plan: Plan,
    store: Store,
    listen: Callable[[str, str, object], None] = lambda _what, _cell, _detail: None,
) -> None:
    """Score every kept adapter that lacks a score on a perturbed set, one after another."""
    from peftbench.models._load import load

    sets = PerturbedSets(plan)
    base: BaseModel | None = None
    key: tuple[str, str] | None = None
    for planned in outstanding(plan, store).can_be_scored:
        cell = planned.cell
        if base is None or key != (cell.model.identity, cell.model.dtype):
            base, key = None, (cell.model.identity, cell.model.dtype)  # free it first
            base = load(plan.models[cell.model.identity], cell.model.dtype)
        listen("scoring", cell.id, None)
        store.evaluations.add(_evaluate_kept(plan, store, cell, base, sets))


def _evaluate_kept(
    plan: Plan, store: Store, cell: Cell, base: BaseModel, sets: PerturbedSets
) -> list[Evaluated]:
    import torch

    from peftbench.engine.reading import encoder_of
    from peftbench.manifest import Manifest

    known = store.evaluations.by_cell([cell.id]).get(cell.id, ())
    missing = _missing(plan, cell, known)
    pairs = pair_sets(plan, cell.task.name, sets.of(cell.task.name))
    method = rebuild_method(cell)
    folder = store.evaluations.adapter(cell.id)
    started = facts.now()
    commit, dirty = facts.git_state()

    def manifest() -> Manifest:
        return Manifest(
            started_at=started,
            finished_at=facts.now(),
            host=facts.host(),
            platform=facts.system(),
            device=str(base.device),
            threads=torch.get_num_threads(),
            packages=facts.packages(),
            git_commit=commit,
            git_dirty=dirty,
            initial_adapter_sha256=None,
            chat_template=encoder_of(cell, base).uses_chat_template,
        )

    adapted = method.load(base.model, folder) if folder else method.attach(base.model)
    try:
        return Examiner(cell, base, store.evaluations.staging(cell.id), manifest).evaluate(
            adapted, _stored_answers(store, cell), [p for p in pairs if p[0] in missing]
        )
    finally:
        base.model = method.detach(adapted)


def _missing(plan: Plan, cell: Cell, known: Sequence[Evaluation]) -> list[TestSet]:
    """The sets that the plan wants of a cell and the store does not hold."""
    held = [evaluation.test_set for evaluation in known]
    return [one for one in plan.perturbed.get(cell.task.name, ()) if one not in held]


def _stored_answers(store: Store, cell: Cell) -> Answers:
    """The answers to the test split, as they were stored."""
    import json

    from peftbench import tasks
    from peftbench.evaluation.metrics import Answers

    table = store.predictions(cell.id)
    assert table is not None, "a finished cell has predictions"
    columns = table.to_pydict()
    return Answers(
        predicted=columns["answer"],
        targets=columns["target"],
        labels=tasks.get(cell.task.name).labels,
        groups=columns["group"],
        references=[tuple(found or ()) for found in columns["references"]],
        extras=[json.loads(extra) for extra in columns["extra"]],
    )


def _is_finished(record: Record | None) -> bool:
    return record is not None and record.status == "finished"


def describe(cells: Sequence[PlannedCell]) -> Iterator[str]:
    """Cells as people read them."""
    for planned in cells:
        seed = "" if planned.cell.seed is None else f" · seed {planned.cell.seed}"
        yield (
            f"{planned.model} · {planned.label} · {planned.cell.task.name}{seed} "
            f"({planned.cell.short_id})"
        )
