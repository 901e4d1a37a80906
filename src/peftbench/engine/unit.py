"""One piece of work from start to finish: every step of it that is not done yet."""

from __future__ import annotations

import logging
import shutil
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from peftbench import tasks
from peftbench.encoding.encode import Encoder
from peftbench.engine.adapter import AdapterRun
from peftbench.engine.clock import PhaseClock
from peftbench.engine.grade import grade
from peftbench.engine.host import ModelHost, encoder_of, longest_input
from peftbench.errors import CellFailed, DataError, PeftbenchError, StoreError
from peftbench.evaluation import metrics
from peftbench.evaluation.predict import Output, Predictor
from peftbench.evaluation.rows import Prediction
from peftbench.manifest import Manifest, made_here, now
from peftbench.methods import Method
from peftbench.methods._build import rebuild
from peftbench.spec import AnyStep, CellMethod, Grade, Predict, Train
from peftbench.spec.frozen import canonical_json
from peftbench.store import (
    Graded,
    Lease,
    LeaseLost,
    Look,
    Outcome,
    Predicted,
    Result,
    Store,
    Trained,
    Tried,
    Work,
    write_marks,
    write_predictions,
)
from peftbench.store._files import explained, refusal_behind
from peftbench.store.outcomes import OUTCOMES, AnyOutcome, Status
from peftbench.tasks import Example, Task
from peftbench.training.validation import fell_behind

log = logging.getLogger(__name__)

#: Prompts of so many rows are kept with the predictions, to look at.
_PROMPTS_KEPT = 8
#: Adapters up to this size stay until `peftbench gc`; larger ones go when nothing that is
#: wanted needs them, unless the benchmark keeps its adapters.
SMALL_BYTES = 64 * 2**20


@dataclass
class Unit:
    """The doing of one piece of work by the holder of its lease."""

    work: Work
    lease: Lease
    store: Store
    host: ModelHost
    on_step: Callable[[int, int], None] = lambda _step, _steps: None
    checkpoint_seconds: float = 30.0
    crashes_allowed: int = 3
    unsafe_run_code: bool = False
    statuses: list[Status] = field(default_factory=list)
    _run: AdapterRun | None = None  # what goes on, for the manifest of a failure

    def do(self) -> Status:
        """All steps in their order; returns how the first that did not finish ended.

        What goes wrong with a step is its result; steps that look at it are then left out,
        and others go on. A full disk or a damaged store is nobody's result: it raises.
        """
        if self.lease.crashes >= self.crashes_allowed:
            self._give_up()
        if self._adapter_is_made():
            for look in self.work.looks:
                self._look(look)
        self.host.check()
        self._free_if_large()
        return next((one for one in self.statuses if one != "finished"), "finished")

    # Steps

    def _adapter_is_made(self) -> bool:
        """Train if that is wanted and not done; whether the looks can go on."""
        train, trial = self.work.train, self.work.trial
        if train is None:
            return True
        known = self._result(train)
        if trial is not None and self._result(trial) is not None:
            return known is not None and known.status == "finished"
        if known is None:
            self._attempt(train, lambda staging: self._trained(train, staging))
            known = self._result(train)
        if trial is not None and known is not None:
            self._commit_trial(known)
        return known is not None and known.status == "finished"

    def _trained(self, train: Train, staging: Path) -> Trained | None:
        """Train; None where the run was given up, which is its trial's result."""
        run = self._adapter_run(train, staging)
        trial = self.work.trial
        run.stop_below = trial.stop_below if trial else ()
        run.checkpoints = self.store.checkpoints(train.id, self.lease)
        run.checkpoint_seconds = self.checkpoint_seconds
        run.on_step = self.on_step
        outcome, loaded = run.make()
        if loaded is None:
            assert trial is not None, "only trials are given up"
            self.store.results.commit(
                self.lease,
                trial,
                Tried(
                    manifest=outcome.manifest,
                    validations=outcome.validations,
                    best_step=outcome.best_step,
                    is_pruned=True,
                    **_times(run.clock),
                ),
            )
            self.statuses.append("finished")
            return None
        self.host.put_on(train.id, run.method, loaded)
        return outcome

    def _commit_trial(self, known: Result) -> None:
        """A run that ended by itself is its own trial, given up where its curve says so."""
        trial, run = self.work.trial, known.outcome
        assert trial is not None
        assert isinstance(run, Trained)
        self.store.results.commit(
            self.lease, trial, tried(run, trial.stop_below, self._higher)
        )

    def _look(self, look: Look) -> None:
        predict = look.predict
        if self._result(predict) is None:
            self._attempt(predict, lambda staging: self._predicted(predict, staging))
        known = self._result(predict)
        wanted = look.grade
        if wanted is None or known is None or known.status != "finished":
            return
        if self._result(wanted) is None:
            self._attempt(wanted, lambda staging: self._graded(predict, wanted, staging))

    def _predicted(self, step: Predict, staging: Path) -> Predicted:
        clock = PhaseClock()
        started_at = now()
        adapted, method, about = self._on_base(step, staging, clock)
        base = self.host.resident
        with clock.phase("load"):
            rows = self.host.rows(step)
        encoder = encoder_of(step, base)
        with clock.phase("evaluate"):
            longest = longest_input(step, method, base)
            predictor = Predictor.of(adapted, method, encoder, longest)
            prompts = [example.prompt for example in rows.examples]
            extras = [example.extra for example in rows.examples]
            task = self._task
            outputs = predictor.predict(task, prompts, extras)
            if step.sampling:
                seed = step.sampling_seed or 0
                drawn = predictor.sample(
                    prompts, task.max_new_tokens, step.sampling, seed=seed
                )
            else:
                drawn = [()] * len(outputs)
            cut = predictor.prompts_cut(prompts, predictor.bound(task))
        with clock.phase("save"):
            write_predictions(
                staging,
                [
                    _prediction(i, example, output, samples, encoder)
                    for i, (example, output, samples) in enumerate(
                        zip(rows.examples, outputs, drawn, strict=True)
                    )
                ],
            )
        return Predicted(
            examples=len(rows.examples),
            prompts_cut=cut,
            rows_not_asked=rows.rows_not_asked,
            trainable_parameters=about.trainable_parameters if about else None,
            stored_bytes=about.stored_bytes if about else None,
            manifest=made_here(
                started_at=started_at,
                device=str(base.device),
                threads=torch.get_num_threads(),
                initial_adapter_sha256=None,
                chat_template=encoder.uses_chat_template,
                decoding={
                    **predictor.decoding(predictor.bound(task)),
                    "end_tokens": list(encoder.end_tokens),
                },
            ),
            **_times(clock),
        )

    def _on_base(
        self, step: Predict, staging: Path, clock: PhaseClock
    ) -> tuple[nn.Module, Method, Trained | None]:
        """The model that is asked, its method, and what is known of one that trains nothing."""
        name = step.adapter or self.work.unit
        settings = self._settings
        method = rebuild(settings)
        standing = self.host.adapted(name)
        if standing is not None:
            return standing, method, None
        with clock.phase("load"):
            base = self.host.base(step.base)
        if step.adapter is not None:
            folder = self._kept_adapter(step.adapter)
            with clock.phase("load"):
                adapted = method.load(self.host.base(step.base).model, folder)
            self.host.put_on(name, method, adapted)
            return adapted, method, None
        temporary = staging / "bare"
        run = AdapterRun(
            base=base,
            method=method,
            settings=settings,
            encoder=encoder_of(step, base),
            max_length=longest_input(step, method, base),
            data=self.host.data(step.task, step.protocol, {}),
            staging=temporary,
            clock=clock,
        )
        temporary.mkdir()
        outcome, loaded = run.make()
        assert loaded is not None, "what is not trained is not given up"
        _remove(temporary)
        self.host.put_on(name, method, loaded)
        return loaded, method, outcome

    def _kept_adapter(self, train_id: str) -> Path:
        """The folder of a trained adapter; trained again where it was freed. The same
        run gives the same files: where it does not, nothing is asked of it."""
        result = self.store.results.by_id([train_id])[train_id]
        folder = self.store.results.adapter(result)
        if folder is not None:
            return folder
        train = self.work.train
        assert train is not None
        staging = self.store.results.staging(train_id, self.lease.token)
        run = self._adapter_run(train, staging)
        run.checkpoints = self.store.checkpoints(train_id, self.lease)
        run.on_step = self.on_step
        outcome, loaded = run.make()
        assert loaded is not None
        self.host.put_on("", run.method, loaded)
        self.host.take_off()
        run.checkpoints.clear()
        if not self.store.results.restore(self.lease, result, staging, outcome):
            _remove(staging)
            raise DataError(
                f"The adapter of {train_id[:12]} was freed, and training it again here gave "
                "other files: another machine, device or version of a package. `peftbench store "
                f"check` shows both. Run it anew with --retry {train_id[:12]}."
            )
        found = self.store.results.adapter(self.store.results.by_id([train_id])[train_id])
        assert found is not None, "it was put back just now"
        return found

    def _graded(self, predict: Predict, step: Grade, staging: Path) -> Graded:
        data, before = None, self.store.results.looking_at([predict.id], "grade")
        if not any(one.status == "finished" for one in before.get(predict.id, ())):
            limits = {
                "train": step.train_limit,
                "validation": step.validation_limit,
                "test": predict.test_limit,
            }
            data = self.host.data(predict.task, predict.protocol, limits)
        graded, marks = grade(
            self.store.results,
            predict,
            step,
            data=data,
            unsafe_run_code=self.unsafe_run_code,
            threads=torch.get_num_threads(),
        )
        write_marks(staging, marks)
        return graded

    # Parts

    def _adapter_run(self, train: Train, staging: Path) -> AdapterRun:
        clock = PhaseClock()
        with clock.phase("load"):
            base = self.host.base(train.base)
            limits = {"train": train.train_limit, "validation": train.validation_limit}
            data = self.host.data(train.task, train.protocol, limits)
        method = rebuild(self._settings)
        self._run = AdapterRun(
            base=base,
            method=method,
            settings=train.method,
            encoder=encoder_of(train, base),
            max_length=longest_input(train, method, base),
            data=data,
            staging=staging,
            training=train.training,
            seed=train.seed or 0,
            clock=clock,
        )
        return self._run

    def _attempt(self, step: AnyStep, make: Callable[[Path], AnyOutcome | None]) -> None:
        """Do a step and commit what came of it, whatever that is."""
        staging = self.store.results.staging(step.id, self.lease.token)
        self._run = None
        outcome: AnyOutcome | None
        try:
            with _refusals_told(self.store.folder):
                outcome = make(staging)
        except (KeyboardInterrupt, LeaseLost):
            raise
        except CellFailed as error:
            outcome = self._failure(step, cast("Status", error.status), str(error))
        except PeftbenchError as error:
            if isinstance(error, StoreError):
                raise
            outcome = self._failure(step, "failed", str(error))
        except Exception as error:
            where = traceback.format_exc(limit=-4)
            reason = f"{type(error).__name__}: {error}\n{where}"
            outcome = self._failure(step, "failed", reason)
        if outcome is None:
            _remove(staging)
            return
        assert isinstance(outcome, Outcome)
        status = outcome.status
        is_whole = status == "finished"
        self.store.results.commit(self.lease, step, outcome, staging if is_whole else None)
        if not is_whole:
            _remove(staging)
        if isinstance(step, Train):
            self.store.checkpoints(step.id).clear()
        self.statuses.append(status)

    def _failure(self, step: AnyStep, status: Status, error: str) -> AnyOutcome:
        run, self._run = self._run, None
        manifest = run.manifest() if run else _no_manifest()
        seconds = _times(run.clock) if run else {}
        said = {"status": status, "error": error, "manifest": manifest, **seconds}
        return OUTCOMES[step.kind].model_validate(said)

    def _give_up(self) -> None:
        """Of the first step that is not done, as the one that workers died over."""
        done = self.store.results.status(self.work.step_ids)
        step = next((one for one in self.work.steps if one.id not in done), None)
        if step is None:
            return
        reason = (
            f"Its worker process died {self.lease.crashes} times over it, perhaps killed "
            "for its memory. Try a smaller batch, then --retry lost."
        )
        self.store.results.commit(self.lease, step, self._failure(step, "lost", reason))
        self.statuses.append("lost")

    def _free_if_large(self) -> None:
        """Remove a large adapter that nothing wanted needs any more."""
        train = self.work.train
        if train is None or self.work.keep_adapter:
            return
        result = self._result(train)
        if result is not None and result.has_adapter and result.adapter_bytes > SMALL_BYTES:
            self.store.results.free([result])

    def _result(self, step: AnyStep) -> Result | None:
        return self.store.results.by_id([step.id]).get(step.id)

    @property
    def _first(self) -> Train | Predict:
        """What says task and method for all steps."""
        return self.work.train or self.work.looks[0].predict

    @cached_property
    def _settings(self) -> CellMethod:
        settings = self._first.method
        assert settings is not None
        return settings.model_copy(update={"location": self.work.location})

    @cached_property
    def _task(self) -> Task:
        return tasks.get(self._first.task.name, self._first.protocol)

    @property
    def _higher(self) -> bool:
        name = self._task.validation_metric or self._task.headline
        return metrics.get(name).better == "higher"


def tried(run: Trained, stop_below: Sequence[float | None], higher: bool) -> Tried:
    """How far a whole run would have got as a trial with these bounds."""
    number, best_step = (
        fell_behind(run.validations, stop_below, higher=higher),
        run.best_step,
    )
    kept = run.validations[:number]
    if number is not None:
        sign = 1 if higher else -1
        best_step = max(kept, key=lambda one: (sign * one.score, one.step)).step
    return Tried(
        status=run.status,
        error=run.error,
        manifest=run.manifest,
        validations=kept,
        best_step=best_step,
        is_pruned=number is not None,
        seconds=run.seconds,
        wall_seconds=run.wall_seconds,
    )


def _prediction(
    row: int, example: Example, output: Output, samples: Sequence[str], encoder: Encoder
) -> Prediction:
    return Prediction(
        row=row,
        prompt_sha256=encoder.prompt_sha256(example.prompt),
        prompt=encoder.render(example.prompt) if row < _PROMPTS_KEPT else None,
        output=output.text,
        target=example.target,
        likelihood_answer=output.likelihood_answer,
        label_log_likelihoods=output.label_log_likelihoods,
        group=example.group,
        references=example.references,
        extra=canonical_json(dict(example.extra)),
        samples=tuple(samples),
    )


@contextmanager
def _refusals_told(folder: Path) -> Iterator[None]:
    """A full disk, a worn-out one, a read-only one: whatever library meets it, in whatever
    words, it is no result of what was being computed."""
    with explained(folder):
        try:
            yield
        except Exception as error:
            if refusal := refusal_behind(error):
                raise refusal from error
            raise


def _times(clock: PhaseClock) -> dict[str, Any]:
    return {"seconds": clock.read(), "wall_seconds": clock.wall_seconds}


def _no_manifest() -> Manifest:
    started_at = now()
    return made_here(started_at=started_at, device="", threads=torch.get_num_threads())


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
