"""The benchmark specification. Every default is written down here, and only here.

The exception is what a method wants otherwise (its paper's learning rate): that stands
in the method's file. `peftbench plan` shows the values each cell ends up with.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, cast

from pydantic import (
    BeforeValidator,
    Field,
    field_validator,
    model_validator,
)

from peftbench.spec.frozen import Frozen
from peftbench.spec.suites import with_groups_expanded

Precision = Literal["float32", "bfloat16"]
#: What a spec may ask for: "auto" is what suits the device, see `TrainingSection.precision`.
AskedPrecision = Literal["auto", "float32", "bfloat16"]
BudgetUnit = Literal["trainable_fraction", "trainable_parameters", "stored_bytes"]

#: How tasks are asked and scored: by our rules, or by those of PEFT-Bench (arXiv:2511.21285).
#: The last is that of Hugging Face peft's method comparison; its results can be imported.
Protocol = Literal["strict", "peft-bench", "hf-method-comparison"]


def _by_name(value: object) -> object:
    """Let `lora` stand for `{name: lora}`."""
    return {"name": value} if isinstance(value, str) else value


class TrainingSettings(Frozen):
    """How an adapter is trained, on whatever device."""

    epochs: float = Field(3.0, gt=0, le=1000)
    """Passes over the training examples; ignored where `steps` is given."""

    steps: int | None = Field(None, ge=1)
    """Optimiser steps; null: as many as `epochs` needs."""

    batch_size: int = Field(16, ge=1)
    """Examples in one optimiser step."""

    micro_batch_size: int | None = Field(None, ge=1)
    """Examples in one forward pass; gradients add up to the same. null: the whole batch,
    halved as often as memory demands."""

    gradient_checkpointing: bool = False
    """Compute every block again on the way back in place of keeping what it computed:
    the same gradients, less memory, one forward pass more."""

    learning_rate: float = Field(2e-4, gt=0, le=10)
    """Peak learning rate of AdamW."""

    weight_decay: float = Field(0.0, ge=0, le=1)
    """Decoupled weight decay of AdamW."""

    scheduler: Literal["cosine", "linear", "constant"] = "cosine"
    """Course of the learning rate after warm-up; cosine and linear end at zero."""

    warmup_fraction: float = Field(0.1, ge=0, lt=1)
    """Share of the steps over which the learning rate rises linearly from zero."""

    max_grad_norm: float | None = Field(1.0, gt=0)
    """Gradients are clipped to this norm; null: not clipped."""

    validations: int = Field(4, ge=1)
    """How often the validation part is scored, evenly spread; the best is kept."""

    patience: int | None = Field(None, ge=1)
    """Stop after so many validations without a better score; null: never."""


class Training(TrainingSettings):
    """How an adapter is trained, nothing left open."""

    precision: Precision = "float32"
    """Arithmetic of forward and backward passes; adapters and optimiser stay float32."""


class TrainingSection(TrainingSettings):
    """How adapters are trained, and what they are trained and asked on. What a method's file
    wants otherwise goes before these defaults, and what a spec says outright before both."""

    precision: AskedPrecision = "auto"
    """Arithmetic of forward and backward passes, as in `Training`; "auto" is bfloat16 on a GPU
    that multiplies it natively, and float32 elsewhere: CPUs differ too much among themselves."""

    max_length: int = Field(1024, ge=8)
    """Longest prompt with answer in tokens. Longer training examples are left out and
    counted; longer test prompts are cut at their start, never at the answer."""

    def over(self, *weaker: Mapping[str, Any]) -> TrainingSection:
        """These settings where they were said outright, else the last of `weaker` that
        says otherwise, else the defaults."""
        merged: dict[str, Any] = {}
        for settings in weaker:
            merged.update(settings)
        return TrainingSection.model_validate(merged | self.model_dump(exclude_unset=True))

    def settled(self, precision: Precision) -> Training:
        """In this precision, which a device decides where "auto" is asked for; without the
        length of inputs, which is the evaluation's too."""
        alone = self.model_dump(exclude={"max_length", "precision"})
        return Training(**alone, precision=precision)


class Limits(Frozen):
    """At most so many examples of each split; null: all. The choice of rows is fixed."""

    train: int | None = Field(None, ge=1)
    validation: int | None = Field(512, ge=1)
    test: int | None = Field(None, ge=1)


class Sampling(Frozen):
    """Further answers to every test prompt, for metrics that take several (pass@k)."""

    samples: int = Field(0, ge=0, le=1000)
    """How many; 0: none, and such metrics are not computed."""

    temperature: float = Field(0.8, gt=0, le=10)
    """What logits are divided by before a token is drawn."""

    top_p: float = Field(0.95, gt=0, le=1)
    """Tokens are drawn from the likeliest ones that hold this share of the mass."""


class Range(Frozen):
    """Numbers from `low` to `high` that tuning may choose among."""

    low: float
    high: float
    log: bool = True
    """Equal ratios are equally likely, as suits a learning rate; else equal distances."""
    whole: bool = False
    """Whole numbers alone, as suits a rank."""

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        if not self.low < self.high:
            raise ValueError(f"low must be below high, got {self.low:g} and {self.high:g}")
        if self.log and self.low <= 0:
            raise ValueError(f"a logarithmic range is above 0, got low {self.low:g}")
        return self


class Tuning(Frozen):
    """The same number of trials for every method, chosen on the validation part."""

    trials: int = Field(8, ge=1, le=1000)
    """Settings tried for each method; the first is the method's own default."""

    space: Literal["default"] | Mapping[str, Range | tuple[Any, ...]] = "default"
    """What is tuned. default: each method's own space, which is a learning rate from a tenth
    of its default to ten times that, and what its file declares. Else ranges or lists of
    values by name, the same for all: `learning_rate` and settings of the methods."""

    on: Literal["validation"] = "validation"
    """Trials never see the test split."""

    per: Literal["task", "method"] = "task"
    """task: settings for each task; method: one setting for all tasks, by the mean of their
    validation scores."""

    sampler: Literal["tpe", "random"] = "tpe"
    """Of Optuna: tree-structured Parzen estimator, or random search."""

    pruner: Literal["none", "median"] = "none"
    """median: a trial ends at a look whose best score is below the median of the earlier
    trials' at that look, once four have got so far."""

    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    """Of the trials' runs and of the sampler."""


class ModelChoice(Frozen):
    """A base model: the embedded `tiny`, a folder, or an id on the Hugging Face hub."""

    name: str = Field(min_length=1)
    """Name, folder or hub id."""

    revision: str | None = None
    """Commit, tag or branch on the hub; null: the newest, pinned when the run starts."""

    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Of the frozen weights. auto: float32 on a CPU, else what the model states."""

    chat_template: bool = True
    """Use the tokenizer's chat template where it has one."""


class Budget(Frozen):
    """How large an adapter is to be, in one of three units."""

    trainable_fraction: float | None = Field(None, gt=0, le=1)
    """Trained parameters per parameter of the base model."""

    trainable_parameters: int | None = Field(None, ge=1)
    """Trained parameters."""

    stored_bytes: int | None = Field(None, ge=1)
    """Bytes of the numbers that are saved, four each."""

    @property
    def said(self) -> tuple[BudgetUnit, float]:
        """The unit that was chosen, and how much of it."""
        [(unit, value)] = self.model_dump(exclude_none=True).items()
        return cast("BudgetUnit", unit), float(value)

    @model_validator(mode="after")
    def _one_unit(self) -> Self:
        if len(self.model_dump(exclude_none=True)) != 1:
            raise ValueError(
                "a budget is one of trainable_fraction, trainable_parameters and stored_bytes"
            )
        return self


class MethodChoice(Frozen):
    """A PEFT method, its settings, and what this method's training does otherwise.

    It is given by its name, by a config of `peft`'s, or as an adapter that is finished.
    """

    name: str = ""
    """Name, as in `peftbench list methods`."""

    peft_config: str | None = Field(None, min_length=1)
    """An adapter_config.json, or its folder, in place of a name: trained as it says."""

    adapter: str | None = Field(None, min_length=1)
    """Folder of a finished adapter, in place of a name: scored and not trained."""

    label: str = Field("", pattern=r"^[^\s].{0,39}$|^$")
    """What tables call it; by default its name."""

    parameters: Mapping[str, Any] = Field(default_factory=dict)
    """Settings of the method, such as `rank: 8`."""

    budget: Budget | None = None
    """Size to which the method's knob is turned, on each model; null: its own default."""

    training: TrainingSection = TrainingSection()
    """Fields of `training` for this method alone, such as `learning_rate: 1.0e-3`."""

    @model_validator(mode="before")
    @classmethod
    def _label_is_name(cls, value: Any) -> Any:
        if isinstance(value, Mapping) and not value.get("label"):
            path = Path(str(value.get("peft_config") or value.get("adapter") or ""))
            of_path = path.parent.name if path.suffix == ".json" else path.name
            return {**value, "label": str(value.get("name") or of_path[:40])}
        return value

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        forms = [form for form in (self.name, self.peft_config, self.adapter) if form]
        if len(forms) != 1:
            raise ValueError("a method needs one of name, peft_config and adapter")
        if self.budget and not self.name:
            raise ValueError("only a method with a name has a knob for a budget to turn")
        if self.adapter and (self.parameters or self.training.model_fields_set):
            raise ValueError(
                "a finished adapter is not trained: it takes no parameters and no training"
            )
        return self


class Benchmark(Frozen):
    """Every combination of these models, methods, tasks and seeds, each run once."""

    name: str = Field(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9._-]{0,63}$")
    """Names the report and the default store."""

    description: str = ""
    """One line for the report."""

    models: tuple[
        Annotated[
            ModelChoice, BeforeValidator(_by_name, json_schema_input_type=str | ModelChoice)
        ],
        ...,
    ] = Field(min_length=1)
    methods: tuple[
        Annotated[
            MethodChoice,
            BeforeValidator(_by_name, json_schema_input_type=str | MethodChoice),
        ],
        ...,
    ] = Field(min_length=1)
    tasks: tuple[str, ...] = Field(min_length=1)
    """Names of tasks; a suite's name, such as `glue`, stands for the suite's tasks."""

    seeds: tuple[Annotated[int, Field(ge=0, lt=2**32)], ...] = Field(
        (1, 2, 3), min_length=1
    )
    training: TrainingSection = TrainingSection()
    limits: Limits = Limits()
    sampling: Sampling = Sampling()
    tuning: Tuning | None = None
    """Choose settings on the validation part before the runs; null: as they are given."""

    protocol: Literal["strict", "peft-bench"] = "strict"
    """The rules of prompts, labels and metrics: ours, or as published in PEFT-Bench."""

    keep_adapters: bool = False
    """Keep every trained adapter in the store."""

    robust: bool = False
    """Score every adapter on the perturbed test sets of its task too, evaluation only."""

    @field_validator("tasks", mode="before", json_schema_input_type=str | tuple[str, ...])
    @classmethod
    def _groups_are_their_tasks(cls, value: Any) -> Any:
        listed = [value] if isinstance(value, str) else value
        is_names = isinstance(listed, list | tuple) and all(
            isinstance(name, str) for name in listed
        )
        return with_groups_expanded(listed) if is_names else value

    @field_validator("tasks", "seeds")
    @classmethod
    def _no_repeats(cls, values: tuple[Any, ...]) -> tuple[Any, ...]:
        repeated = sorted({value for value in values if values.count(value) > 1})
        if repeated:
            raise ValueError(
                f"{', '.join(map(str, repeated))} stands there more than once; name each "
                "one once"
            )
        return values

    @model_validator(mode="after")
    def _distinct_labels(self) -> Self:
        for what, names in (
            ("label", [method.label for method in self.methods]),
            ("model", [f"{model.name}@{model.revision}" for model in self.models]),
        ):
            repeated = sorted({name for name in names if names.count(name) > 1})
            if repeated:
                raise ValueError(
                    f"two entries have the {what} {repeated[0]!r}; give each its own"
                    + (" `label`" if what == "label" else "")
                )
        return self
