"""A store of schema version 1 written anew as a ledger of steps, with every number.

    the record of a cell            -> Train, Predict and Grade, and what came of each
    that of a trial                 -> Train; also Trial where it was held against bounds
    predictions_<name>.parquet      -> Predict and Grade of a further test
    an evaluation                   -> Predict and Grade of a perturbed set
    a rescoring                     -> one more Grade, by the scorer that it names
    a cost                          -> Measure

What version 1 did not say is not made up: a note tells of it.
"""

from __future__ import annotations

import json
import re
import shutil
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import Any, TypeVar

from peftbench import tasks
from peftbench.cost.costs import Cost
from peftbench.errors import PeftbenchError, StoreError
from peftbench.evaluation import metrics
from peftbench.evaluation.score import FORMAT_ERRORS, LIKELIHOOD, task_facts
from peftbench.evaluation.scores import Score
from peftbench.methods._build import about
from peftbench.methods._finished import ABOUT
from peftbench.models._source import resolve_config
from peftbench.spec import AnyStep, Cell, Grade, ModelChoice, Predict, TestSet, Trial
from peftbench.spec.facts import TaskFacts
from peftbench.spec.frozen import digest
from peftbench.spec.steps import TEST
from peftbench.store._results import ADAPTER
from peftbench.store._rows import write_marks, write_predictions
from peftbench.store._store import Store
from peftbench.store._version_1 import (
    ROWS,
    Json,
    Kept,
    Rows,
    Version1,
    cell_id,
    further_tests,
)
from peftbench.store.outcomes import AnyOutcome, Graded, Predicted, Trained, Tried
from peftbench.store.planned import PlannedCell

T = TypeVar("T")

#: Which step a phase of a record's seconds is of; the others are of making the adapter.
_PHASES = {
    "evaluate": "predict",
    "evaluate robustness": "predict",
    "run programs": "grade",
}
#: Counts of a record, and the fields that they have now.
_TRAIN_COUNTS = {
    "train examples": "train_examples",
    "train examples left out as too long": "train_left_out_as_too_long",
    "train prompts cut at their start": "train_prompts_cut",
    "validation examples": "validation_examples",
}
_LEAKS = {"prompts": "{}", "normalised prompts": "{}, normalised", "groups": "{}"}
_LEFT_OUT = re.compile(r"(\S+) rows (.+), left out")
#: Scores of imports that are no metric of the catalogue: unit, and which way they count.
_IMPORTED = {"forgetting": ("nats per token", "lower")}


@dataclass(frozen=True)
class Upgraded:
    """What came into the new store, and what did not."""

    cells: int
    """That had ended; trials are not among them."""
    benchmarks: int
    steps: int
    """Results of the new store."""
    notes: tuple[str, ...]
    """What is lost, or was never said."""


def upgrade(source: Path, target: Path) -> Upgraded:
    """Write what `source`, a store of version 1, holds into `target`, a new one.

    A file that is not as it was written costs its cell, and nothing else. Raises `StoreError`
    where there is no such store, or `target` is there already.
    """
    old = Version1.read(source)
    if target.exists() or target.resolve().is_relative_to(source.resolve()):
        raise StoreError(
            f"{target} is there already, or lies in the old store. Give a new folder with --to."
        )
    unfinished = target.with_name(f"{target.name}.{uuid.uuid4().hex[:8]}.unfinished")
    try:
        with Store.open(unfinished) as store:
            found = _Upgrade(old, store).done()
        unfinished.rename(target)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    return found


@dataclass(frozen=True)
class _Made:
    """A step, what came of it, and its files before they are written."""

    step: AnyStep
    outcome: AnyOutcome
    adapter: Kept | None = None
    rows: Rows | None = None
    """Predictions, or of a grade the marks."""


@dataclass(frozen=True)
class _Ended:
    """A cell that has ended, as steps."""

    cell: Cell
    record: Json
    made: tuple[_Made, ...]
    """The first is what says how far its training got."""

    @property
    def is_trial(self) -> bool:
        """Whether it only tried settings."""
        return bool(self.record["cell"].get("trial"))

    @property
    def rank(self) -> tuple[bool, bool, bool]:
        """Of two cells that share a step, the one that has more of it comes first."""
        has_adapter = any(one.adapter for one in self.made)
        return self.record["status"] != "finished", not has_adapter, self.is_trial

    @property
    def test_sets(self) -> list[TestSet]:
        """All that its adapter was asked."""
        return [one.step.test_set for one in self.made if isinstance(one.step, Predict)]


@dataclass
class _Upgrade:
    """The way from an old store into a new one."""

    old: Version1
    store: Store
    notes: dict[str, None] = field(default_factory=dict)
    ended: dict[str, _Ended] = field(default_factory=dict)
    """By the ids that the cells had."""

    def done(self) -> Upgraded:
        """Do all of it."""
        for name, kept in self.old.records.items():
            found = self._whole(self._name(name), kept, self._cell_ended)
            if found is not None:
                self.ended[name] = found
        for one in sorted(self.ended.values(), key=lambda one: one.rank):
            for made in one.made:
                self._commit(made)
        for cost in self.old.costs:
            measured = self._readable(f"The cost of {cost.get('method')}", self._cost, cost)
            if measured is not None:
                self._commit(measured)
        for row in self.old.benchmarks:
            found_cells = (
                self._readable(f"A cell of {row['name']}", self._planned, row, *one)
                for one in row["cells"]
            )
            self.store.add_benchmark(
                row["name"],
                origin=row["origin"],
                spec=row["spec"],
                cells=[one for one in found_cells if one is not None],
                created_at=row["created_at"],
            )
        self._tell_what_is_lost()
        return Upgraded(
            cells=sum(not one.is_trial for one in self.ended.values()),
            benchmarks=len(self.old.benchmarks),
            steps=len(self.store.results.step_ids()),
            notes=tuple(self.notes),
        )

    # Cells

    def _cell_ended(self, kept: Kept) -> _Ended:
        """A record as steps, with all that looked at its predictions."""
        record = kept.value
        cell = self._cell(record["cell"], record["manifest"]["device"])
        trial = record["cell"].get("trial")
        made = [_trained(cell, kept)] if cell.train else []
        if trial and any(bound is not None for bound in trial["stop_below"]):
            made = _as_trial(made[0], Trial(train=cell.train, **trial))
        elif record["status"] == "finished" and not trial:
            asked = list(self._asked(cell, kept))
            made += [
                *asked,
                *self._scored_again(cell, kept, asked),
                *self._perturbed(cell, kept),
            ]
        elif not made:
            failed = {**_part(record, "train", "predict", "grade"), "examples": 0}
            made = [_Made(cell.predict(), Predicted.model_validate(failed))]
        return _Ended(cell, record, tuple(made))

    def _cell(self, old: Json, device: str) -> Cell:
        """A cell of version 1 as it would be planned where it was run."""
        model, training = old["model"], old["training"]
        asked = {name: old[name] for name in old if name not in ("trial", "tuned")}
        dtype = self._dtype(model["identity"], model["name"], model["dtype"], device)
        if training is not None:
            training = {name: training[name] for name in training if name != "max_length"}
        return Cell.model_validate(
            {**asked, "model": {**model, "dtype": dtype}, "training": training}
        )

    def _asked(self, cell: Cell, kept: Kept) -> Iterator[_Made]:
        """The answers to the test split and to further tests, and their first grades."""
        record, manifest = kept.value, kept.value["manifest"]
        tests = further_tests(kept)
        scores = self._by_test_set(record["scores"], tests)
        for name in (TEST, *tests):
            predict = cell.predict(TestSet(name=name))
            rows = Rows.of(kept, name)
            counts = record["counts"] if name == TEST else {}
            asked: dict[str, Any] = {
                "manifest": manifest,
                "examples": rows.count if rows else 0,
                "prompts_cut": counts.get("test prompts cut at their start", 0),
            }
            graded: dict[str, Any] = {
                "manifest": manifest,
                "scores": scores[name],
                "task_version": cell.task.version,
            }
            if name == TEST:
                asked |= _part(record, "predict")
                graded |= {
                    **_part(record, "grade"),
                    "unavailable": [_unavailable(one) for one in record["unavailable"]],
                    "baselines": record["baselines"],
                    "leaks": list(_leaks(counts)),
                    "rows_left_out": list(_left_out(counts)),
                }
                if cell.train is None:
                    asked |= {
                        **_part(record, "train", "predict"),
                        "trainable_parameters": record["trainable_parameters"],
                        "stored_bytes": record["stored_bytes"],
                    }
            yield _Made(predict, Predicted.model_validate(asked), rows=rows)
            yield self._first_grade(cell, predict, graded, rows)

    def _scored_again(
        self, cell: Cell, kept: Kept, asked: Sequence[_Made]
    ) -> Iterator[_Made]:
        """Newer grades of the test split, and of further tests where they have others."""
        predicts = [one.step for one in asked if isinstance(one.step, Predict)]
        in_force = {
            predict.test_set.name: (predict, one)
            for predict in predicts
            for one in asked
            if isinstance(one.step, Grade) and one.step.predictions == predict.id
        }
        name = cell_id(kept.value["cell"])
        for again in self.old.rescored:
            if again.value.get("cell_id") != name:
                continue
            what = f"{self._name(name)}, scored again,"
            found = self._whole(what, again, self._grades_again, cell, in_force)
            for predict, one in found or ():
                in_force[predict.test_set.name] = predict, one
                yield one

    def _grades_again(
        self, again: Kept, cell: Cell, in_force: Mapping[str, tuple[Predict, _Made]]
    ) -> list[tuple[Predict, _Made]]:
        said = again.value
        scores = self._by_test_set(said["scores"], [one for one in in_force if one != TEST])
        found = []
        for name, (predict, before) in in_force.items():
            outcome = before.outcome
            assert isinstance(outcome, Graded)
            new: dict[str, Any] = {"scores": scores[name]}
            if name == TEST:
                told = {score["name"] for score in said["scores"]}
                new["baselines"] = said["baselines"]
                new["unavailable"] = [
                    one for one in outcome.unavailable if one.metric not in told
                ]
            elif list(outcome.scores) == scores[name]:
                continue
            rows = before.rows
            if rows is not None:
                rows = replace(rows, scores=again.folder / ROWS if name == TEST else None)
            manifest = outcome.manifest
            if manifest is not None and said.get("ran_programs_unsafely"):
                manifest = manifest.model_copy(update={"ran_programs_unsafely": True})
            graded = {
                **outcome.model_dump(exclude={"manifest"}),
                **_by_scorer(said),
                **new,
                "task_version": said["task_version"],
                "manifest": manifest,
            }
            found.append((predict, self._grade(cell, predict, graded, rows)))
        return found

    def _perturbed(self, cell: Cell, kept: Kept) -> Iterator[_Made]:
        """Its answers to perturbed sets, oldest first, with all their grades."""
        name = cell_id(kept.value["cell"])
        own = [
            (evaluation_id, one)
            for evaluation_id, one in self.old.evaluations.items()
            if one.value.get("cell_id") == name
        ]
        for evaluation_id, one in sorted(own, key=lambda o: _finished_at(o[1].value)):
            what = f"{self._name(name)} on {one.value.get('test_set', {}).get('name')}"
            yield from self._whole(what, one, self._evaluation, cell, evaluation_id) or ()

    def _evaluation(self, kept: Kept, cell: Cell, evaluation_id: str) -> list[_Made]:
        said, counts = kept.value, kept.value["counts"]
        predict = cell.predict(TestSet.model_validate(said["test_set"]))
        rows = Rows.of(kept, TEST)
        asked = {
            "status": "failed" if said["error"] else "finished",
            "error": said["error"],
            "manifest": said["manifest"],
            "seconds": said["seconds"],
            "examples": counts.get("examples", 0),
            "rows_not_asked": counts.get("rows not asked", 0),
            "prompts_cut": counts.get("prompts cut at their start", 0),
        }
        made = [_Made(predict, Predicted.model_validate(asked), rows=rows)]
        if said["comparison"] is None:
            return made
        graded = {
            "perturbed": self._compared(said["comparison"], predict),
            "manifest": said["manifest"],
            "task_version": cell.task.version,
        }
        made.append(self._first_grade(cell, predict, graded, rows))
        unknown = replace(rows, scores=None) if rows else None
        for again in self.old.rescored_evaluations:
            if again.get("evaluation_id") == evaluation_id:
                graded = {
                    **_by_scorer(again),
                    "perturbed": self._compared(again["comparison"], predict),
                }
                made.append(self._grade(cell, predict, graded, unknown))
        return made

    # Grades

    def _first_grade(
        self,
        cell: Cell,
        predict: Predict,
        graded: Mapping[str, Any],
        rows: Rows | None,
    ) -> _Made:
        """As it was graded right after it was asked. Nothing names the scorer of that time:
        its digest is one of the versions of the package and of the task."""
        manifest = graded["manifest"]
        version = manifest["packages"].get("peftbench", "")
        by = {
            "scorer": digest(["version 1", version, cell.task.version]),
            "peftbench_version": version,
            "graded_at": manifest["finished_at"],
        }
        return self._grade(cell, predict, {**graded, **by}, rows)

    def _grade(
        self,
        cell: Cell,
        predict: Predict,
        graded: Mapping[str, Any],
        rows: Rows | None,
    ) -> _Made:
        outcome = Graded.model_validate(graded)
        is_perturbed = predict.test_set.is_perturbed
        step = Grade(
            predictions=predict.id,
            beside=cell.id if is_perturbed else None,
            train_limit=None if is_perturbed else cell.limits.train,
            validation_limit=None if is_perturbed else cell.limits.validation,
            metrics=_metrics(cell, outcome),
            scorer=outcome.scorer,
        )
        return _Made(step, outcome, rows=rows)

    def _by_test_set(
        self, scores: Sequence[Json], tests: Sequence[str]
    ) -> dict[str, list[Score]]:
        """Scores of each test set: those of a further test bore its name in front."""
        found: dict[str, list[Score]] = {name: [] for name in (TEST, *tests)}
        for one in scores:
            test = next((t for t in tests if one["name"].startswith(f"{t}_")), TEST)
            found[test].append(self._score(one, test))
        return found

    def _compared(self, comparison: Json, predict: Predict) -> dict[str, Any]:
        name = predict.test_set.name
        return {
            **comparison,
            "scores": [self._score(one, name) for one in comparison["scores"]],
            "clean": self._score(comparison["clean"], TEST),
        }

    def _score(self, said: Json, test_set: str) -> Score:
        """A score with what the catalogue says of its metric today."""
        metric = said["name"].removeprefix(f"{test_set}_")
        numbers = {name: said[name] for name in said if name != "name"}
        return Score.model_validate(
            {"test_set": test_set, "metric": metric, **numbers, **self._kind(metric)}
        )

    def _kind(self, metric: str) -> dict[str, Any]:
        """Unit, direction and bounds of a metric."""
        if metric in _IMPORTED:
            return dict(zip(("unit", "better"), _IMPORTED[metric], strict=True))
        try:
            kind = metrics.get("accuracy" if metric == LIKELIHOOD else metric)
        except PeftbenchError:
            self._note(
                f"{metric} is no metric that is known here (with --plugin FILE it may be): "
                "its unit is not told, and higher is taken for better."
            )
            return {"unit": "", "better": "higher"}
        return {
            name: getattr(kind, name) for name in ("unit", "better", "lowest", "highest")
        }

    # Benchmarks and costs

    def _planned(
        self, row: Json, old: Json, model: str, label: str, budget: Json | None = None
    ) -> PlannedCell:
        """A cell of a benchmark, with the test sets that it was asked, or that those with
        predictions on its task were."""
        ended = self.ended.get(cell_id(old))
        cell = ended.cell if ended else self._cell(old, "")
        asked = ended.test_sets if ended else []
        if not asked:
            same = [self.ended.get(cell_id(other)) for other, *_ in row["cells"]]
            asked = [
                test_set
                for other in same
                if other is not None and other.cell.task == cell.task
                for test_set in other.test_sets
                if row["spec"].get("robust") or not test_set.is_perturbed
            ]
        asked = list(dict.fromkeys(asked))
        return PlannedCell.model_validate(
            {
                "cell": cell,
                "model": model,
                "label": label,
                "task": self._task_facts(cell),
                "method": about(cell.method),
                "budget": budget,
                "trials": [
                    {
                        **{name: one[name] for name in one if name != "cells"},
                        "runs": [
                            self.ended[name].made[0].step.id
                            for name in one["cells"]
                            if name in self.ended
                        ],
                    }
                    for one in (ended.record["trials"] if ended else ())
                ],
                "further_tests": [
                    one.name for one in asked if not one.is_perturbed and one.name != TEST
                ],
                "perturbed": [one for one in asked if one.is_perturbed],
            }
        )

    def _task_facts(self, cell: Cell) -> TaskFacts:
        """Of the catalogue, else what the records tell."""
        try:
            return task_facts(tasks.get(cell.task.name, cell.protocol))
        except PeftbenchError:
            pass
        own = [
            one.record
            for one in self.ended.values()
            if (one.cell.task.name, one.cell.protocol) == (cell.task.name, cell.protocol)
        ]
        told = (record["provenance"] for record in own if record.get("provenance"))
        facts = {"description": next((one["about"] for one in told), "")}
        if first := next((record["scores"][0] for record in own if record["scores"]), None):
            score = self._score(first, TEST)
            facts |= {name: getattr(score, name) for name in ("metric", "unit", "better")}
        return TaskFacts.model_validate(facts)

    def _cost(self, said: Json) -> _Made:
        kind = said["device"].rpartition(" (")[0] or said["device"]
        dtype = self._dtype(said["model_identity"], said["model"], said["dtype"], kind)
        cost = Cost.model_validate({**said, "dtype": dtype, "device_kind": kind})
        return _Made(cost.step, cost)

    # Precision

    def _dtype(self, identity: str, name: str, dtype: str, device: str) -> str:
        """What "auto" came to on a device; of a cell that did not get there, on the one that
        others of the model were run on."""
        if dtype != "auto":
            return dtype
        chosen = device or next(iter(self._devices.get(identity, ())), "")
        if chosen == "cpu":
            return "float32"
        stated = self._stated_dtype(identity, name) if chosen else "auto"
        if stated == "auto":
            why = "its config is not at hand" if chosen else "nothing of it has been run"
            self._note(f"The precision of {name} stays auto: {why}. It is run anew.")
        return stated

    @cached_property
    def _devices(self) -> Mapping[str, Counter[str]]:
        """By a model's identity, what its cells were run on."""
        found: dict[str, Counter[str]] = {}
        for kept in self.old.records.values():
            device = kept.value.get("manifest", {}).get("device")
            if device and kept.value.get("kind") == "run":
                identity = kept.value["cell"]["model"]["identity"]
                found.setdefault(identity, Counter())[device] += 1
        return found

    def _stated_dtype(self, identity: str, name: str) -> str:
        """What a model's config states; "auto" where this one is not at hand."""
        _, _, commit = identity.rpartition("@")
        revision = None if identity.startswith("sha256:") else commit
        try:
            found = resolve_config(ModelChoice(name=name, revision=revision))
        except PeftbenchError:
            return "auto"
        if found.identity != identity:
            return "auto"
        stated = found.config.get("dtype") or found.config.get("torch_dtype") or "float32"
        return str(stated).removeprefix("torch.")

    # Writing, and telling

    def _commit(self, one: _Made) -> None:
        """Into the ledger, unless another cell's run of the same training is there."""
        results, staged = self.store.results, None
        known = results.by_id([one.step.id]).get(one.step.id)
        if known is not None and _is_same_run(known.outcome, one.outcome):
            return
        if one.adapter or one.rows:
            staged = results.staging(one.step.id, results.new_token())
            if one.adapter:
                _copy_adapter(one.adapter, staged)
            elif one.rows and isinstance(one.step, Predict):
                write_predictions(staged, one.rows.predictions())
            elif one.rows:
                write_marks(staged, one.rows.marks())
        results.commit(None, one.step, one.outcome, staged, origin="version 1")

    def _whole(
        self, what: str, kept: Kept, read: Callable[..., T], *others: Any
    ) -> T | None:
        """What `read` makes of it; None, and a note, where a file was altered."""
        altered = kept.altered
        if altered:
            names = ", ".join(map(str, altered))
            self._note(f"{what} is not carried over: {names} is not as it was written.")
            return None
        return self._readable(what, read, kept, *others)

    def _readable(self, what: str, read: Callable[..., T], *said: Any) -> T | None:
        """The same for what is no result of version 1."""
        try:
            return read(*said)
        except (KeyError, TypeError, ValueError) as error:
            reason = str(error).splitlines()[0]
            self._note(f"{what} is not carried over: it cannot be read ({reason}).")
            return None

    def _note(self, text: str) -> None:
        self.notes[text] = None

    def _name(self, old_id: str) -> str:
        """What people call a cell."""
        return self._names.get(old_id, f"The cell {old_id[:12]}")

    @cached_property
    def _names(self) -> Mapping[str, str]:
        return {
            cell_id(cell): f"{model} · {label} · {cell['task']['name']}"
            + ("" if cell["seed"] is None else f" · seed {cell['seed']}")
            for row in self.old.benchmarks
            for cell, model, label, *_ in row["cells"]
        }

    def _tell_what_is_lost(self) -> None:
        for old_id in sorted(self.old.interrupted):
            self._note(
                f"{self._name(old_id)} was interrupted: its checkpoint is not carried over, "
                "and it begins again."
            )
        for row in self.old.benchmarks:
            if row["spec"].get("tuning"):
                self._note(
                    f"{row['name']} keeps its trials and what they chose, and running it again "
                    "searches anew: other settings are suggested after the first."
                )
        if any(len(one.test_sets) > 1 for one in self.ended.values()):
            self._note(
                "Version 1 did not count the prompts of further tests that it cut: 0 is told."
            )
        if self.old.rescored_evaluations:
            self._note(
                "Of perturbed sets that were scored again there are no scores of single rows."
            )
        if found := self.store.results.contradictions():
            self._note(
                f"{len(found)} results are shared by cells that have other numbers for them: "
                f"`peftbench store check` shows both."
            )


def _trained(cell: Cell, kept: Kept) -> _Made:
    """The step that trains, and the adapter where it was kept."""
    record, counts = kept.value, kept.value["counts"]
    is_finished = record["status"] == "finished"
    same = (
        "kind", "validations", "steps", "best_step", "trainable_parameters", "stored_bytes",
        "micro_batch_size", "facts", "provenance", "reported",
    )  # fmt: skip
    said = {
        **_part(record, "train", *(() if is_finished else ("predict", "grade"))),
        **{name: record[name] for name in same if name in record},
        **{name: counts[what] for what, name in _TRAIN_COUNTS.items() if what in counts},
    }
    assert cell.train is not None
    has_adapter = any(name.startswith(f"{ADAPTER}/") for name in kept.files)
    return _Made(
        cell.train, Trained.model_validate(said), adapter=kept if has_adapter else None
    )


def _as_trial(trained: _Made, trial: Trial) -> list[_Made]:
    """A run that was held against bounds, as version 1 tells whether it fell behind them:
    it has fewer validations than were asked for. One that failed is no trial's result."""
    run = trained.outcome
    assert isinstance(run, Trained)
    if run.status != "finished":
        return [trained]
    asked = trial.train.training
    is_pruned = asked is not None and len(run.validations) < asked.validations
    tried = Tried(
        manifest=run.manifest,
        validations=run.validations,
        best_step=run.best_step,
        is_pruned=is_pruned,
        seconds=run.seconds,
        wall_seconds=run.wall_seconds,
    )
    return [_Made(trial, tried), *([] if is_pruned else [trained])]


def _part(record: Json, *parts: str) -> dict[str, Any]:
    """How one of a record's steps ended, with its share of the time: all together make up
    what the record says. `parts` are "train", which has what no other has, "predict", "grade".
    """
    seconds, wall = record["seconds"], record["wall_seconds"]
    own = {
        phase: took
        for phase, took in seconds.items()
        if _PHASES.get(phase, "train") in parts
    }
    if wall is not None:
        others = sum(seconds.values()) - sum(own.values())
        wall = round(wall - others if "train" in parts else sum(own.values()), 4)
    return {
        "status": record["status"],
        "error": record["error"],
        "manifest": record["manifest"],
        "seconds": own,
        "wall_seconds": wall,
    }


def _metrics(cell: Cell, graded: Graded) -> tuple[str, ...]:
    """What was asked for: what there is a score of, or a reason why there is none, and what
    takes more samples than were drawn, which was left out on purpose."""
    scores = graded.perturbed.scores if graded.perturbed else graded.scores
    missing = [one.metric for one in graded.unavailable]
    told = dict.fromkeys([*missing, *(one.metric for one in scores)])
    drawn = cell.sampling.samples if cell.sampling else 0
    try:
        known = tasks.get(cell.task.name, cell.protocol).metrics
        asked = [
            name for name in known if name in told or metrics.get(name).samples > drawn
        ]
    except PeftbenchError:
        asked = []
    always = (FORMAT_ERRORS, LIKELIHOOD)
    return (*asked, *(name for name in told if name not in (*asked, *always)))


def _unavailable(said: Json) -> dict[str, Any]:
    return {"metric": said["name"], **{n: said[n] for n in said if n != "name"}}


def _leaks(counts: Json) -> Iterator[dict[str, Any]]:
    """Of every pair of splits, what was counted."""
    for what, phrase in _LEAKS.items():
        for pair in combinations(tasks.SPLITS, 2):
            kind = what.removeprefix("normalised ")
            said = phrase.format(f"{kind} in both {'/'.join(pair)}")
            if said in counts:
                yield {"what": what, "splits": pair, "count": counts[said]}


def _left_out(counts: Json) -> Iterator[dict[str, Any]]:
    for said, count in counts.items():
        if found := _LEFT_OUT.fullmatch(said):
            yield {"split": found[1], "reason": found[2], "count": count}


def _by_scorer(said: Json) -> dict[str, Any]:
    return {
        "scorer": said["scorer"],
        "peftbench_version": said["peftbench_version"],
        "graded_at": said["rescored_at"],
    }


def _finished_at(evaluation: Json) -> str:
    return str(evaluation.get("manifest", {}).get("finished_at"))


def _copy_adapter(kept: Kept, staged: Path) -> None:
    """Its files; the one that says what it is names no cell of version 1 any more."""
    for name in kept.files:
        if not name.startswith(f"{ADAPTER}/"):
            continue
        place = staged / name
        place.parent.mkdir(parents=True, exist_ok=True)
        if place.name == ABOUT:
            said = json.loads((kept.folder / name).read_text("utf-8"))
            place.write_text(json.dumps({"method": said["method"]}), "utf-8")
        else:
            shutil.copyfile(kept.folder / name, place)


def _is_same_run(known: AnyOutcome, other: AnyOutcome) -> bool:
    """Whether two cells tell of one training; one may say more of its adapter."""
    if not isinstance(known, Trained) or not isinstance(other, Trained):
        return False
    names = ("status", "validations", "steps", "best_step", "trainable_parameters")
    return all(getattr(known, name) == getattr(other, name) for name in names)
