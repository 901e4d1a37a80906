"""What a worker keeps warm between pieces of work: base model, rows, and an adapter on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from peftbench.encoding.encode import Encoder, stop_ids
from peftbench.errors import DataError
from peftbench.methods import Method
from peftbench.models import ModelSource
from peftbench.models._load import BaseModel, load
from peftbench.spec import Base, CellTask, Predict, Protocol, TestSet, Train
from peftbench.tasks import Example
from peftbench.tasks._data import TaskData, load_task_data, with_limits
from peftbench.tasks.perturbations import Reading
from peftbench.tasks.perturbations._load import PerturbedData, load_perturbed

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Rows:
    """The examples of a test set."""

    examples: Sequence[Example]
    reading: Reading | None = None  # of a perturbed set
    rows_not_asked: int = 0


@dataclass
class ModelHost:
    """One resident base model at a time, with what was last put on it."""

    sources: Mapping[str, ModelSource]  # by identity
    data_dir: Path | None
    _base: BaseModel | None = None
    _key: Base | None = None
    _on: tuple[str, Method, nn.Module] | None = None
    _whole: tuple[str, TaskData] | None = None
    _data: dict[str, TaskData] = field(default_factory=dict)
    _perturbed: dict[str, PerturbedData] = field(default_factory=dict)

    def base(self, wanted: Base) -> BaseModel:
        """The base model, alone; what was on it is taken off."""
        self.take_off()
        if self._base is None or self._key != wanted:
            self._base = None  # free it first: two may not fit
            self._base = load(self.sources[wanted.identity], wanted.dtype)
            self._key = wanted
        return self._base

    @property
    def resident(self) -> BaseModel:
        """The base that is in memory, with whatever stands on it."""
        assert self._base is not None, "nothing was loaded"
        return self._base

    def put_on(self, name: str, method: Method, adapted: nn.Module) -> None:
        """Remember what stands on the base now."""
        self._on = name, method, adapted

    def adapted(self, name: str) -> nn.Module | None:
        """The adapted model, if it is this one."""
        return self._on[2] if self._on and self._on[0] == name else None

    def take_off(self) -> None:
        """Leave the base alone."""
        if self._on is not None and self._base is not None:
            _, method, adapted = self._on
            self._on = None
            self._base.model = method.detach(adapted)

    def distrust(self) -> None:
        """Load the base again next time: something may have changed its weights."""
        self._base = self._key = self._on = None

    def check(self) -> None:
        """Drop the base if a weight of it is not what it was."""
        if self._base is None:
            return
        self.take_off()
        if not self._base.is_intact():
            self.distrust()

    def data(
        self, task: CellTask, protocol: Protocol, limits: Mapping[str, int | None]
    ) -> TaskData:
        """The examples of a task, which all runs share; raises `DataError` where they are not
        those that the steps speak of."""
        name = f"{task.name}|{protocol}"
        key = f"{name}|{sorted(limits.items())}"
        if key not in self._data:
            if self._whole is None or self._whole[0] != name:
                self._whole = None  # one task's rows may be many
                found = load_task_data(
                    task.name, data_dir=self.data_dir, limits={}, protocol=protocol
                )
                self._whole = name, found
            self._data[key] = with_limits(self._whole[1], limits)
        found = self._data[key]
        if found.identity != task.data:
            raise DataError(
                f"The rows of {task.name} are not those that were planned: {found.identity}, "
                f"and {task.data} was asked for. Were the files changed meanwhile?"
            )
        return found

    def rows(self, step: Predict) -> Rows:
        """The examples of the test set that a step asks."""
        test_set = step.test_set
        if test_set.is_perturbed:
            found = self._perturbed_rows(test_set, step.task.name, step.test_limit)
            return Rows(found.examples, found.reading, found.rows_not_asked)
        data = self.data(step.task, step.protocol, {"test": step.test_limit})
        if test_set.name in data.further_tests:
            return Rows(data.further_tests[test_set.name])
        return Rows(data.examples["test"])

    def _perturbed_rows(
        self, test_set: TestSet, task: str, limit: int | None
    ) -> PerturbedData:
        key = f"{test_set.name}|{task}|{limit}"
        if key not in self._perturbed:
            self._perturbed[key] = load_perturbed(
                test_set.name, task, data_dir=self.data_dir, limit=limit
            )
        found = self._perturbed[key]
        if found.identity != test_set.data:
            raise DataError(
                f"The rows of {test_set.name} are not those that were planned. Were the files "
                "changed meanwhile?"
            )
        return found


def encoder_of(step: Train | Predict, base: BaseModel) -> Encoder:
    """Prompts to tokens, as the step asks for it; raises `DataError` where the chat template
    renders other prompts than those that the step speaks of."""
    encoder = Encoder(
        base.tokenizer,
        chat_template=bool(step.chat_template),
        stop_ids=stop_ids(base.tokenizer, base.model.generation_config.eos_token_id),
    )
    if step.chat_rendering and encoder.template_sha256 != step.chat_rendering:
        raise DataError(
            f"The chat template of {base.source.name} renders other prompts than those that "
            "were planned. Is the version of peftbench or transformers another one here?"
        )
    return encoder


def longest_input(step: Train | Predict, method: Method, base: BaseModel) -> int:
    """Tokens of prompt and answer: what the step allows, and what the model was built for
    less the virtual tokens of the method."""
    virtual = getattr(method, "num_virtual_tokens", 0)
    room = (base.max_positions or step.max_length + virtual) - virtual
    return min(step.max_length, room)
