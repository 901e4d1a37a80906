"""Steps: what is computed, as values. Equal steps have equal ids, and are done once.

    Train(base, method, training rows, seed, training)            -> adapter, curve
    Trial(train, bounds)                                          -> how far it got
    Predict(base, adapter or method, test set, decoding)          -> rows
    Grade(rows, metrics, scorer)                                  -> scores
    Measure(base, method, probe, device)                          -> costs

A step names its inputs by their ids and holds what is really computed: precisions are
resolved, files are told by their digests. Who wanted it is no part of it: a benchmark, a
search or a leaderboard is a view, a set of wanted steps under names of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar

from pydantic import Field

from peftbench.spec.benchmark import Precision, Protocol, Sampling, Training
from peftbench.spec.frozen import Count, Frozen, digest

#: Test set of a task's own test split.
TEST = "test"


class Base(Frozen):
    """Frozen weights: which ones, and in what precision they are held."""

    identity: str  # "sha256:<digest of its files>" or "<hub id>@<commit>"
    dtype: str  # "float32", "bfloat16" or "float16": resolved, never "auto"


class CellMethod(Frozen):
    """The method with all its settings, defaults included."""

    name: str
    parameters: Mapping[str, Any]
    source: str | None = None  # of a plug-in, see `Catalogue.source`; None: ours
    location: str | None = Field(None, exclude=True)
    """Where adapters lie that it is made of. No part of its identity, and not stored."""


class CellTask(Frozen):
    """The task, the version of its prompts and targets, and the rows it stands for."""

    name: str
    version: int
    data: str  # "sha256:<digest of its files>", "<hub id>@<commit>", "generated v1"
    source: str | None = None  # as in `CellMethod`


class TestSet(Frozen):
    """Rows that an adapter is asked: the task's test split, a further test of the task, or a
    perturbed set, whose version and data are its own."""

    __test__ = False  # the name is no test's, whatever pytest makes of it

    name: str = TEST
    version: int | None = None
    data: str | None = None
    """"sha256:<digest of the file>" or "<hub id>@<commit>"; None: the task's own."""
    source: str | None = None
    """Digest of a plug-in's file; None: the set comes with a package."""

    @property
    def is_perturbed(self) -> bool:
        """Whether the rows are other ones than the task's own."""
        return self.data is not None


class Step(Frozen):
    """Base of all steps."""

    kind: ClassVar[str]

    @cached_property
    def id(self) -> str:
        """SHA-256 over kind and content, in hexadecimal."""
        return digest([self.kind, self.content])

    @property
    def content(self) -> Mapping[str, Any]:
        """All that the step is made of, as JSON; what it is read from again. What is absent is
        left out: a field that comes with a new version, and is None, changes no id of old."""
        found: Mapping[str, Any] = _content(self)
        return found


def _content(value: Any) -> Any:
    """A value as JSON, without what is None; but where a field's default is not None, None
    says something, such as that gradients are not clipped, and stays."""
    if isinstance(value, Frozen):
        return {
            name: _content(one)
            for name, field in type(value).model_fields.items()
            for one in [getattr(value, name)]
            if not field.exclude and (one is not None or field.default is not None)
        }
    if isinstance(value, Mapping):
        return {name: _content(one) for name, one in value.items() if one is not None}
    if isinstance(value, list | tuple):
        return [_content(one) for one in value]
    return value


class Train(Step):
    """One fine-tuning run, up to its saved adapter. The best state is chosen on the
    validation part; the test split plays no part in it."""

    kind: ClassVar[str] = "train"

    base: Base
    chat_template: bool | None = None
    chat_rendering: str | None = None
    """Digest of what the chat template renders, where that depends on more than the model's
    files: on the date that it is given."""
    method: CellMethod
    task: CellTask
    protocol: Protocol
    train_limit: int | None = None
    validation_limit: int | None = None
    max_length: Count
    seed: Count | None = None
    training: Training | None = None
    """Only imports, of which it is not told, have none."""
    origin: str | None = None  # "<tool> sha256:<digest of its files>"; None: our own run


class Trial(Step):
    """A run that is given up where it falls behind others. One that is not given up is the
    run itself, and shares its result."""

    kind: ClassVar[str] = "trial"

    train: Train
    stop_below: tuple[float | None, ...]
    """For each validation, the score below which it is not worth going on."""


class Predict(Step):
    """What a model with an adapter writes on a test set."""

    kind: ClassVar[str] = "predict"

    base: Base
    chat_template: bool | None = None
    chat_rendering: str | None = None  # as in `Train`
    adapter: str | None = None
    """Id of the step that made it; None: `method` trains nothing."""
    method: CellMethod | None = None
    task: CellTask
    protocol: Protocol
    test_set: TestSet = TestSet()
    test_limit: int | None = None
    max_length: Count
    sampling: Sampling | None = None  # None: no metric of the task takes samples
    sampling_seed: Count | None = None
    origin: str | None = None  # as in `Train`


class Grade(Step):
    """Predictions read and graded. Another scorer is another step on the same rows."""

    kind: ClassVar[str] = "grade"

    predictions: str
    """Id of the step that wrote them."""
    beside: str | None = None
    """Of a perturbed set: id of the predictions on the test split, for comparison."""
    train_limit: int | None = None
    """Training rows of which the constant answers beside the score are made."""
    validation_limit: int | None = None
    """With those, the rows that are searched for the test split's."""
    metrics: tuple[str, ...]
    scorer: str
    """SHA-256 of the code that reads answers and computes metrics."""


class Probe(Frozen):
    """The fixed inputs on which a method's cost is measured."""

    inference_batch: int = 1
    inference_length: int = 512
    training_batch: int = 4
    training_length: int = 512
    precision: Precision = "float32"
    """Of the passes of a training step, as in a spec."""
    repeats: int = Field(5, ge=2)
    new_tokens: int = 16
    """Generated after the first, for the time per token."""


class Measure(Step):
    """What a method costs on a model and a machine: a short, exclusive probe."""

    kind: ClassVar[str] = "measure"

    base: Base
    method: CellMethod
    probe: Probe
    device: str
    """Kind of device: "cpu", or a GPU's name."""


#: Any step, told apart by its kind.
AnyStep = Train | Trial | Predict | Grade | Measure
KINDS: Mapping[str, type[AnyStep]] = {
    one.kind: one for one in (Train, Trial, Predict, Grade, Measure)
}
