"""From a base model to a saved adapter: attach, train, save, load again, check."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from peftbench.cost.storage import stored_bytes
from peftbench.encoding.bounded import Bounded, bounded
from peftbench.encoding.encode import Encoder
from peftbench.encoding.logits import all_logits
from peftbench.encoding.rounding import difference, in_float32, rounding
from peftbench.engine.clock import PhaseClock, TimedKeeper
from peftbench.errors import CheckFailed, DataError
from peftbench.evaluation import metrics
from peftbench.evaluation.predict import Predictor
from peftbench.evaluation.score import answers_to
from peftbench.manifest import Manifest, made_here, now
from peftbench.methods import Method
from peftbench.methods._finished import ABOUT
from peftbench.models._load import BaseModel
from peftbench.spec import CellMethod, Training
from peftbench.store import ADAPTER, Checkpoints, Trained
from peftbench.tasks import Example, Task
from peftbench.tasks._data import TaskData
from peftbench.training.checkpointing import gradient_checkpointing
from peftbench.training.data import TrainingData
from peftbench.training.loop import Member, train_group
from peftbench.training.repeatable import operators_that_differ
from peftbench.training.run import Run
from peftbench.training.seeds import seed_everything, state_sha256, trainable


@dataclass
class AdapterRun:
    """The making of one adapter on a resident base model.

    Without `training` nothing is trained: the method is attached, saved and loaded.
    """

    base: BaseModel
    method: Method
    settings: CellMethod
    encoder: Encoder
    max_length: int
    data: TaskData
    staging: Path
    training: Training | None = None
    seed: int = 0
    stop_below: Sequence[float | None] = ()
    checkpoints: Checkpoints | None = None
    checkpoint_seconds: float = 30.0
    on_step: Callable[[int, int], None] = lambda _step, _steps: None
    clock: PhaseClock = field(default_factory=PhaseClock)
    started_at: str = field(default_factory=now)
    initial_sha256: str | None = None
    resumed: int = 0
    not_repeatable: Set[str] = frozenset()
    learned: Mapping[str, float] = field(default_factory=dict)

    def make(self) -> tuple[Trained, nn.Module | None]:
        """The outcome, with the adapter in `staging`, and the model with it on, as it was
        loaded again. A run that was given up has neither files nor such a model."""
        with operators_that_differ() as self.not_repeatable:
            return self._make()

    def _make(self) -> tuple[Trained, nn.Module | None]:
        fit, data = self._training_data()
        seed_everything(self.seed)
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
            self._check_count(count)
            run = self._train(adapted, data) if data else None
            if run is not None and run.is_pruned:
                return self._outcome(run, fit, count), None
            if data:
                with self.clock.phase("check"):
                    self.learned = self.method.facts(adapted, data.context)
                    self._has_moved(adapted)
            with self.clock.phase("save"):
                self.method.save(adapted, self.staging / ADAPTER)
            with self.clock.phase("check"):
                trained = self._probe(adapted)
        finally:
            self.base.model = self.method.detach(adapted)
        with self.clock.phase("check"):
            before = self._probe(self.base.model)
        with self.clock.phase("load"):
            loaded = self.method.load(self.base.model, self.staging / ADAPTER)
        try:
            with self.clock.phase("check"):
                self._check(self._probe(loaded), trained, before)
            size = stored_bytes(self.staging / ADAPTER)
            self._sign()
        except BaseException:
            self.base.model = self.method.detach(loaded)
            raise
        outcome = self._outcome(run, fit, count)
        return outcome.model_copy(update={"stored_bytes": size}), loaded

    def _check_count(self, count: int) -> None:
        """Raises `CheckFailed` where another number of parameters is trained than budgets and
        tables count with."""
        planned = self.method.trainable_parameters(self.base.shapes)
        if count != planned:
            raise CheckFailed(
                f"{self.settings.name} trains {count:,} parameters on this model, and "
                f"{planned:,} by its own account: it reaches other modules than those it "
                "counts. Name its target_modules, or use another method."
            )

    def manifest(self) -> Manifest:
        """Provenance of this run so far."""
        return made_here(
            started_at=self.started_at,
            device=str(self.base.device),
            threads=torch.get_num_threads(),
            initial_adapter_sha256=self.initial_sha256,
            chat_template=self.encoder.uses_chat_template,
            resumed=self.resumed,
            not_repeatable=self.not_repeatable,
        )

    def _training_data(self) -> tuple[Bounded, TrainingData | None]:
        """What the run is trained on, if it is."""
        if not self.training:
            return Bounded((), 0, 0), None
        with self.clock.phase("tokenise"):
            fit = self._fitting(self.data.examples["train"])
            data = TrainingData.planned(
                fit.rows,
                self.training,
                seed=self.seed,
                task=self.data.name,
                pad_id=int(self.base.tokenizer.pad_token_id),
                device=self.base.device,
            )
        return fit, data

    def _train(self, adapted: nn.Module, data: TrainingData) -> Run:
        task = self.data.task
        chooses = metrics.get(task.validation_metric or task.headline)
        run = Run(
            adapted,
            data,
            higher_is_better=chooses.better == "higher",
            hook=self.method.hook(adapted, data.context),
            stop_below=self.stop_below,
        )
        validation = self.data.examples["validation"]
        member = Member(
            run,
            validate=lambda: self._validate(adapted, task, validation, chooses),
            checkpoints=TimedKeeper(self.checkpoints, self.clock)
            if self.checkpoints
            else None,
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

    def _fitting(self, examples: Sequence[Example]) -> Bounded:
        """Training examples in tokens, of at most the run's length."""
        rows = [self.encoder.encode_example(example) for example in examples]
        fit = bounded(rows, self.max_length)
        if not fit.rows:
            raise DataError(
                f"{self.data.name}: the answers of all {len(rows)} training examples are "
                f"longer than {self.max_length} tokens. Raise training.max_length, or choose "
                "a model with a longer context."
            )
        return fit

    def _validate(
        self, adapted: nn.Module, task: Task, examples: Sequence[Example], chooses: Any
    ) -> float:
        with self.clock.phase("validate"):
            predictor = Predictor.of(adapted, self.method, self.encoder, self.max_length)
            outputs = predictor.predict(
                task,
                [example.prompt for example in examples],
                [example.extra for example in examples],
            )
            answers = answers_to(task, examples, [output.answer for output in outputs])
            score: float = chooses.score(answers)
            return score

    def _outcome(self, run: Run | None, fit: Bounded, count: int) -> Trained:
        return Trained(
            manifest=self.manifest(),
            validations=tuple(run.progress.validations) if run else (),
            steps=run.progress.step if run else 0,
            best_step=run.progress.best_step if run else None,
            trainable_parameters=count,
            micro_batch_size=run.progress.micro_batch_size if run else None,
            train_examples=len(fit.rows),
            train_left_out_as_too_long=fit.left_out,
            train_prompts_cut=fit.cut,
            validation_examples=len(self.data.examples["validation"]) if run else 0,
            facts=self.learned,
            seconds=self.clock.read(),
            wall_seconds=self.clock.wall_seconds,
        )

    @torch.no_grad()
    def _probe(self, adapted: nn.Module) -> torch.Tensor:
        """Logits of one short prompt: the fingerprint of what a model computes."""
        adapted.eval()
        ids = self.encoder.prompt(self.data.examples["validation"][0].prompt)[-64:]
        with in_float32():
            return all_logits(adapted, torch.tensor([ids], device=self.base.device))

    def _has_moved(self, adapted: nn.Module) -> None:
        if state_sha256(adapted) == self.initial_sha256:
            raise CheckFailed(
                "Training moved no parameter. Does what the method trains take part in what "
                "the model computes?"
            )

    def _check(
        self, loaded: torch.Tensor, trained: torch.Tensor, before: torch.Tensor
    ) -> None:
        """Make sure that what was saved is what was trained, and that it does something."""
        apart, allowed = difference(loaded, trained), rounding(self.base.shapes.num_layers)
        if not apart <= allowed:  # not a number is not the same either
            raise CheckFailed(
                "The saved adapter does not compute what the trained one did: in float32, "
                f"logits differ by {apart:.2g} of their size, and rounding explains "
                f"{allowed:.2g}. The method's save and load do not fit together."
            )
        chooses = self.method.may_choose_no_token
        if self.training and not chooses and torch.equal(loaded, before):
            raise CheckFailed(
                "The trained adapter changes nothing: in float32, its logits equal the base "
                "model's. It is not switched on."
            )

    def _sign(self) -> None:
        """Write beside the adapter what it is, so that it can be opened by itself."""
        folder = self.staging / ADAPTER
        if folder.is_dir():  # the base model alone has nothing to save
            about = {"method": self.settings.model_dump(mode="json")}
            (folder / ABOUT).write_text(json.dumps(about), "utf-8")
