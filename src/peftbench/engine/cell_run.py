"""One cell from start to finish: attach, train, save, load again, check, score."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn

from peftbench import manifest as facts
from peftbench.encoding.bounded import Bounded, bounded
from peftbench.encoding.logits import all_logits
from peftbench.engine.clock import PhaseClock, TimedKeeper
from peftbench.engine.plan import rebuild_method
from peftbench.engine.reading import encoder_of, longest_input
from peftbench.engine.scored import Scored, predict, renamed, sample
from peftbench.errors import CheckFailed, DataError
from peftbench.evaluation import metrics
from peftbench.evaluation.metrics._baselines import (
    best_constant,
    constant_answer,
    constant_score,
)
from peftbench.evaluation.predict import Predictor
from peftbench.evaluation.programs import Execution
from peftbench.evaluation.scores import Baseline
from peftbench.manifest import Manifest
from peftbench.methods import Method
from peftbench.methods._finished import ABOUT
from peftbench.models._load import BaseModel
from peftbench.spec import Cell
from peftbench.store import (
    Checkpoints,
    Evaluated,
    Record,
    TrialResult,
    predictions_file,
    write_predictions,
)
from peftbench.tasks import Example
from peftbench.tasks._data import TaskData
from peftbench.training.checkpointing import gradient_checkpointing
from peftbench.training.data import TrainingData
from peftbench.training.loop import Member, train_group
from peftbench.training.run import Run
from peftbench.training.seeds import seed_everything, state_sha256, trainable

#: Scores the adapter of a run, as loaded again; the answers are those to the test split.
FurtherEvaluation = Callable[["CellRun", nn.Module, metrics.Answers], Sequence[Evaluated]]


@dataclass
class CellRun:
    """The computation of one cell on a resident base model."""

    cell: Cell
    base: BaseModel
    data: TaskData
    checkpoints: Checkpoints
    staging: Path
    keep_adapter: bool = False
    on_step: Callable[[int, int], None] = lambda _step, _steps: None
    checkpoint_seconds: float = 30.0
    trials: tuple[TrialResult, ...] = ()
    clock: PhaseClock = field(default_factory=PhaseClock)
    started_at: str = field(default_factory=facts.now)
    initial_sha256: str | None = None
    resumed: int = 0
    learned: Mapping[str, float] = field(default_factory=dict)
    further_evaluation: FurtherEvaluation | None = None
    evaluated: Sequence[Evaluated] = ()
    unsafe_run_code: bool = False
    execution: Execution | None = None  # what runs programs, where a metric needs it

    def __post_init__(self) -> None:
        self.method: Method = rebuild_method(self.cell)
        self.encoder = encoder_of(self.cell, self.base)
        self.max_length = longest_input(self.cell, self.method, self.base)
        task = self.data.task
        self.headline = metrics.get(task.headline)
        self.validation_metric = metrics.get(task.validation_metric or task.headline)
        if any(metrics.get(name).runs_programs for name in task.metrics):
            self.execution = Execution.here(unsafe=self.unsafe_run_code)

    def compute(self) -> Record:
        """Train and score; returns the record, with its files in `staging`."""
        fit, data = self._training_data()
        seed_everything(self.cell.seed or 0)
        with self.clock.phase("attach"):
            adapted = (
                self.method.attach_for(self.base.model, data.context)
                if data
                else self.method.attach(self.base.model)
            )
        try:
            with self.clock.phase("check"):
                self.initial_sha256 = state_sha256(adapted) if self.method.trains else None
            count = sum(p.numel() for p in trainable(adapted).values())
            run = self._train(adapted, data) if data else None
            if self.cell.trial:
                return self._record(run, fit, count)
            if data:
                with self.clock.phase("check"):
                    self.learned = self.method.facts(adapted, data.context)
            with self.clock.phase("save"):
                self.method.save(adapted, self.staging / "adapter")
            with self.clock.phase("check"):
                trained = self._probe(adapted)
        finally:
            self.base.model = self.method.detach(adapted)
        return self._score(run, fit, count, trained)

    def manifest(self) -> Manifest:
        """Provenance of this run so far."""
        commit, dirty = facts.git_state()
        runner = self.execution.runner if self.execution else None
        return Manifest(
            started_at=self.started_at,
            finished_at=facts.now(),
            host=facts.host(),
            platform=facts.system(),
            device=str(self.base.device),
            threads=torch.get_num_threads(),
            packages=facts.packages(),
            git_commit=commit,
            git_dirty=dirty,
            initial_adapter_sha256=self.initial_sha256,
            chat_template=self.encoder.uses_chat_template,
            resumed=self.resumed,
            programs_run_in=runner.description if runner else None,
            ran_programs_unsafely=runner is not None and not runner.is_safe,
        )

    def _training_data(self) -> tuple[Bounded, TrainingData | None]:
        """What the run is trained on, if it is."""
        if not self.cell.training:
            return Bounded((), 0, 0), None
        with self.clock.phase("tokenise"):
            fit = self._fitted(self.data.examples["train"])
            data = TrainingData.planned(
                fit.rows,
                self.cell.training,
                seed=self.cell.seed or 0,
                task=self.cell.task.name,
                pad_id=int(self.base.tokenizer.pad_token_id),
                device=self.base.device,
            )
        return fit, data

    def _train(self, adapted: nn.Module, data: TrainingData) -> Run:
        run = Run(
            adapted,
            data,
            higher_is_better=self.validation_metric.better == "higher",
            hook=self.method.hook(adapted, data.context),
            stop_below=self.cell.trial.stop_below if self.cell.trial else (),
        )
        validation = self.data.examples["validation"]
        member = Member(
            run,
            validate=lambda: self._validate(adapted, validation),
            checkpoints=TimedKeeper(self.checkpoints, self.clock),
            on_step=self.on_step,
        )
        with (
            self.clock.phase("train"),
            gradient_checkpointing(adapted, enabled=data.training.gradient_checkpointing),
        ):
            train_group([member], checkpoint_seconds=self.checkpoint_seconds)
        self.resumed = run.progress.resumed
        if member.failure:
            raise member.failure
        return run

    def _fitted(self, examples: Sequence[Example]) -> Bounded:
        """Training examples in tokens, of at most the run's length."""
        rows = [self.encoder.encode_example(example) for example in examples]
        fit = bounded(rows, self.max_length)
        if not fit.rows:
            raise DataError(
                f"{self.cell.task.name}: the answers of all {len(rows)} training examples are "
                f"longer than {self.max_length} tokens. Raise training.max_length, or choose "
                "a model with a longer context."
            )
        return fit

    def _validate(self, adapted: nn.Module, examples: Sequence[Example]) -> float:
        with self.clock.phase("validate"):
            scored = self._predict(adapted, examples, execution=None)
            return self.validation_metric.score(scored.answers)

    def _predict(
        self, adapted: nn.Module, examples: Sequence[Example], execution: Execution | None
    ) -> Scored:
        predictor = Predictor(adapted, self.encoder, self.max_length)
        task = self.data.task
        outputs = predict(predictor, task, examples)
        if self.cell.sampling and execution is not None:
            outputs = sample(predictor, task, examples, outputs, self.cell)
        return Scored(task, examples, outputs, execution=execution)

    def _score(
        self, run: Run | None, fit: Bounded, count: int, trained: torch.Tensor
    ) -> Record:
        """Load what was saved, make sure that it is what was trained, and score that."""
        test = self.data.examples["test"]
        with self.clock.phase("check"):
            before = self._probe(self.base.model)
        with self.clock.phase("load"):
            loaded = self.method.load(self.base.model, self.staging / "adapter")
        try:
            with self.clock.phase("check"):
                self._check(self._probe(loaded), trained, before, run)
            with self.clock.phase("evaluate"):
                scored = self._predict(loaded, test, self.execution)
                further = {
                    name: self._predict(loaded, rows, self.execution)
                    for name, rows in self.data.further_tests.items()
                }
                cut = self._prompts_cut(loaded, test)
            if self.further_evaluation is not None:
                with self.clock.phase("evaluate robustness"):
                    self.evaluated = self.further_evaluation(self, loaded, scored.answers)
        finally:
            self.base.model = self.method.detach(loaded)
        with self.clock.phase("run programs"):
            unavailable = scored.unavailable  # the programs are run to tell
        with self.clock.phase("save"):
            self._write("", scored)
            for name, one in further.items():
                self._write(name, one)
            stored = sum(
                path.stat().st_size
                for path in (self.staging / "adapter").rglob("*")
                if path.suffix in (".safetensors", ".json")
            )
            self._keep_or_drop_adapter()
        record = self._record(run, fit, count)
        return record.model_copy(
            update={
                "scores": (
                    *scored.scores(),
                    *(
                        score
                        for name, one in further.items()
                        for score in renamed(one.scores(), f"{name}_{{}}".format)
                    ),
                ),
                "unavailable": unavailable,
                "baselines": self._baselines(self.data.examples["train"], scored.answers),
                "stored_bytes": stored,
                "counts": {**record.counts, **self._test_counts(cut)},
            }
        )

    def _record(self, run: Run | None, fit: Bounded, count: int) -> Record:
        """What is known once training is over: all that there is to a trial."""
        return Record(
            cell=self.cell,
            status="finished",
            manifest=self.manifest(),
            validations=tuple(run.progress.validations) if run else (),
            trials=self.trials,
            steps=run.progress.step if run else 0,
            best_step=run.progress.best_step if run else None,
            trainable_parameters=count,
            micro_batch_size=run.progress.micro_batch_size if run else None,
            facts=self.learned,
            counts={
                "train examples": len(fit.rows),
                "train examples left out as too long": fit.left_out,
                "train prompts cut at their start": fit.cut,
                "validation examples": len(self.data.examples["validation"]) if run else 0,
                **self.data.left_out,
            },
            seconds=self.clock.read(),
        )

    def _test_counts(self, cut: int) -> dict[str, int]:
        return {
            "test examples": len(self.data.examples["test"]),
            "test prompts cut at their start": cut,
            **self.data.leaks,
        }

    @torch.no_grad()
    def _probe(self, adapted: nn.Module) -> torch.Tensor:
        """Logits of one short test prompt: the fingerprint of what a model computes."""
        adapted.eval()
        ids = self.encoder.prompt(self.data.examples["test"][0].prompt)[-64:]
        return all_logits(adapted, torch.tensor([ids], device=self.base.device)).float()

    def _check(
        self,
        loaded: torch.Tensor,
        trained: torch.Tensor,
        before: torch.Tensor,
        run: Run | None,
    ) -> None:
        if not torch.allclose(loaded, trained, rtol=1e-3, atol=1e-4):
            raise CheckFailed(
                "The saved adapter does not compute what the trained one did: logits differ "
                f"by {float((loaded - trained).abs().max()):.3g}. The method's save and load "
                "do not fit together."
            )
        if run and torch.equal(loaded, before):
            raise CheckFailed(
                "The trained adapter changes nothing: its logits equal the base model's. "
                "Either it is not switched on, or training moved no parameter."
            )

    def _prompts_cut(self, adapted: nn.Module, test: Sequence[Example]) -> int:
        predictor = Predictor(adapted, self.encoder, self.max_length)
        prompts = [example.prompt for example in test]
        return predictor.prompts_cut(prompts, predictor.bound(self.data.task))

    def _write(self, name: str, scored: Scored) -> None:
        path = self.staging / predictions_file(name)
        write_predictions(path, scored.predictions(self.encoder))

    def _baselines(
        self, train: Sequence[Example], answers: metrics.Answers
    ) -> tuple[Baseline, ...]:
        if self.headline.runs_programs:
            return ()  # one program for every problem solves none, and is slow to say so
        task = self.data.task
        targets = [example.target for example in train]
        is_number = self.headline.chance_is_zero and not task.labels
        name = "majority class" if task.labels else "constant"
        constants = {name: constant_answer(targets, is_number=is_number)}
        if task.labels:
            # F1 of the rarer label, for one, is zero where the majority class is always given.
            seen = metrics.Answers(
                predicted=targets,
                targets=targets,
                labels=task.labels,
                groups=[example.group for example in train],
            )
            best, value = best_constant(self.headline, seen)
            if value != constant_score(self.headline, constants[name], seen):
                constants["best label"] = best
        return tuple(
            Baseline(
                name=name,
                answer=answer,
                value=constant_score(self.headline, answer, answers),
            )
            for name, answer in constants.items()
        )

    def _keep_or_drop_adapter(self) -> None:
        import shutil

        folder = self.staging / "adapter"
        if not self.keep_adapter:
            shutil.rmtree(folder, ignore_errors=True)
        elif folder.is_dir():
            about = {
                "method": self.cell.method.model_dump(mode="json"),
                "cell": self.cell.id,
            }
            (folder / ABOUT).write_text(json.dumps(about), "utf-8")
