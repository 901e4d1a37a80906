"""A benchmark survives being written down, and nothing that makes no sense gets in."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from peftbench.errors import InvalidSpec
from peftbench.spec import (
    Benchmark,
    Limits,
    MethodChoice,
    Training,
    TrainingSection,
    from_mapping,
)

SMALLEST: dict[str, Any] = {
    "name": "b",
    "models": ["tiny"],
    "methods": ["lora"],
    "tasks": ["generated_mood"],
}

names = st.from_regex(r"[a-z][a-z0-9-]{0,8}", fullmatch=True)
fractions = st.floats(0, 0.99, allow_nan=False)
counts = st.integers(1, 10_000)


def some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """A mapping with any of these fields."""
    return st.fixed_dictionaries({}, optional=fields)


trainings = some(
    epochs=st.floats(0.01, 1000),
    steps=st.none() | counts,
    batch_size=counts,
    micro_batch_size=st.none() | counts,
    learning_rate=st.floats(1e-8, 10),
    weight_decay=fractions,
    scheduler=st.sampled_from(["cosine", "linear", "constant"]),
    warmup_fraction=fractions,
    max_grad_norm=st.none() | st.floats(0.01, 100),
    max_length=st.integers(8, 10_000),
    precision=st.sampled_from(["float32", "bfloat16"]),
    validations=counts,
    patience=st.none() | counts,
)
values = st.none() | st.booleans() | st.integers(-5, 5) | fractions | st.text(max_size=5)
methods = names | st.builds(
    lambda name, rest: {"name": name} | rest,
    names,
    some(
        label=names,
        parameters=st.dictionaries(
            names, values | st.lists(values, max_size=3), max_size=3
        ),
        training=trainings,
    ),
)
models = names | st.builds(
    lambda name, rest: {"name": name} | rest,
    names,
    some(
        revision=st.none() | names,
        dtype=st.sampled_from(["auto", "float32", "bfloat16", "float16"]),
        chat_template=st.booleans(),
    ),
)


def called(choice: str | dict[str, Any]) -> str:
    return choice if isinstance(choice, str) else choice.get("label") or choice["name"]


benchmarks = st.builds(
    lambda required, rest: required | rest,
    st.fixed_dictionaries(
        {
            "name": names,
            "models": st.lists(
                models,
                min_size=1,
                max_size=3,
                unique_by=lambda m: m if isinstance(m, str) else m["name"],
            ),
            "methods": st.lists(methods, min_size=1, max_size=4, unique_by=called),
            "tasks": st.lists(names, min_size=1, max_size=4, unique=True),
        }
    ),
    some(
        description=st.text(max_size=20),
        seeds=st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=4, unique=True),
        training=trainings,
        limits=some(train=st.none() | counts, validation=st.none() | counts),
        keep_adapters=st.booleans(),
    ),
)


@settings(max_examples=60, deadline=None)
@given(benchmarks)
def test_a_benchmark_survives_being_dumped_and_read(raw: dict[str, Any]) -> None:
    benchmark = from_mapping(raw)
    said = benchmark.model_dump(mode="json", exclude_unset=True)
    everything = benchmark.model_dump(mode="json")
    assert from_mapping(said) == benchmark
    assert from_mapping(json.loads(json.dumps(everything))) == benchmark
    assert from_mapping(yaml.safe_load(yaml.safe_dump(said))) == benchmark


@settings(max_examples=60, deadline=None)
@given(benchmarks)
def test_what_was_left_unsaid_stays_unsaid_in_a_dump(raw: dict[str, Any]) -> None:
    """A default that is written down would overrule what a method's file wants."""
    benchmark = from_mapping(raw)
    again = from_mapping(benchmark.model_dump(mode="json", exclude_unset=True))
    assert again.training.model_fields_set == benchmark.training.model_fields_set
    for before, after in zip(benchmark.methods, again.methods, strict=True):
        assert after.training.model_fields_set == before.training.model_fields_set


def test_a_name_alone_stands_for_a_choice_of_that_name() -> None:
    benchmark = from_mapping(SMALLEST)
    assert benchmark.methods == (MethodChoice(name="lora", label="lora"),)
    assert benchmark.models[0].name == "tiny"
    assert benchmark.models[0].dtype == "auto"


def test_a_benchmark_cannot_be_changed() -> None:
    benchmark = from_mapping(SMALLEST)
    with pytest.raises(ValidationError, match="frozen"):
        benchmark.name = "other"  # type: ignore[misc]
    with pytest.raises(ValidationError, match="frozen"):
        benchmark.training.epochs = 1  # type: ignore[misc]


def test_what_a_method_says_goes_before_the_benchmark_and_that_before_defaults() -> None:
    method = TrainingSection(learning_rate=1e-3)
    merged = method.over({"learning_rate": 5.0, "epochs": 7}, {"epochs": 2, "steps": 9})
    assert merged == TrainingSection(learning_rate=1e-3, epochs=2, steps=9)
    assert TrainingSection().over({}) == TrainingSection()


def test_a_method_may_say_outright_what_the_default_says_already() -> None:
    default = Training().learning_rate
    said = TrainingSection(learning_rate=default)
    assert said.over({"learning_rate": 9.0}).learning_rate == default
    assert TrainingSection().over({"learning_rate": 9.0}).learning_rate == 9.0


def test_the_length_of_inputs_is_the_evaluations_too_and_no_part_of_training() -> None:
    section = TrainingSection(max_length=64, epochs=2)
    assert section.settled("bfloat16") == Training(epochs=2, precision="bfloat16")
    assert type(section.settled("float32")) is Training


def test_the_default_limit_of_the_validation_part_is_512_rows() -> None:
    assert Limits() == Limits(train=None, validation=512, test=None)


WRONG: list[tuple[str, Any, str]] = [
    ("training.learning_rate", 0, "training.learning_rate: input should be greater than 0"),
    ("training.learning_rate", -1e-3, "training.learning_rate: input should be greater"),
    (
        "training.learning_rate",
        float("nan"),
        "training.learning_rate: input should be a fin",
    ),
    (
        "training.learning_rate",
        float("inf"),
        "training.learning_rate: input should be a fin",
    ),
    ("training.learning_rate", 11, "less than or equal to 10; got 11"),
    ("training.learning_rate", "fast", "training.learning_rate: .*number.*; got 'fast'"),
    ("training.learning_rate", None, "training.learning_rate: .*; got None"),
    ("training.epochs", 0, "training.epochs: .*greater than 0"),
    ("training.epochs", float("nan"), "training.epochs: .*finite"),
    ("training.steps", 0, "training.steps: .*greater than or equal to 1"),
    ("training.steps", 1.5, "training.steps: .*integer"),
    ("training.batch_size", 0, "training.batch_size: .*greater"),
    ("training.batch_size", None, "training.batch_size: .*got None"),
    ("training.micro_batch_size", 0, "training.micro_batch_size: .*greater"),
    ("training.weight_decay", -0.1, "training.weight_decay: .*greater"),
    ("training.warmup_fraction", 1, "training.warmup_fraction: .*less than 1"),
    ("training.max_grad_norm", 0, "training.max_grad_norm: .*greater than 0"),
    ("training.max_length", 7, "training.max_length: .*greater than or equal to 8"),
    ("training.validations", 0, "training.validations: .*greater"),
    ("training.patience", 0, "training.patience: .*greater"),
    (
        "training.scheduler",
        "step",
        "training.scheduler: .*'cosine', 'linear' or 'constant'",
    ),
    ("training.precision", "float16", "training.precision: .*'float32' or 'bfloat16'"),
    ("training", None, "training: .*got None"),
    ("training", 3, "training: .*got 3"),
    ("limits.train", 0, "limits.train: .*greater"),
    ("protocol", "lenient", "protocol: .*'strict'"),
    ("keep_adapters", "perhaps", "keep_adapters: .*boolean"),
    ("name", "", "name: .*pattern"),
    ("name", "a/b", "name: .*pattern.*got 'a/b'"),
    ("name", 5, "name: .*string"),
    ("models", [], "models: .*at least 1 item"),
    ("models", "tiny", "models: .*got 'tiny'"),
    ("models", [""], r"models\[0\].name: .*at least 1 character"),
    ("models", [{"name": "m", "dtype": "int4"}], r"models\[0\].dtype: .*got 'int4'"),
    ("methods", [], "methods: .*at least 1 item"),
    ("methods", [3], r"methods\[0\]: .*got 3"),
    (
        "methods",
        [{"label": "x"}],
        r"methods\[0\]: a method needs one of name, peft_config and adapter",
    ),
    ("methods", [{"name": "lora", "label": " x"}], r"methods\[0\].label: .*pattern"),
    (
        "methods",
        ["base", {"name": "lora", "training": {"epochs": -1}}],
        r"methods\[1\].training.epochs: .*greater than 0; got -1",
    ),
    ("methods", ["lora", "lora"], "two entries have the label 'lora'.*own `label`"),
    ("models", ["tiny", {"name": "tiny"}], "two entries have the model 'tiny@None'"),
    ("tasks", [], "tasks: .*at least 1 item"),
    ("tasks", 7, "tasks: .*got 7"),
    ("tasks", ["sst2", "rte", "sst2"], "tasks: sst2 stands there more than once"),
    ("seeds", [], "seeds: .*at least 1 item"),
    ("seeds", 3, "seeds: .*got 3"),
    ("seeds", [1, 2, 1, 2], "seeds: 1, 2 stands there more than once"),
    ("seeds", [-1], r"seeds\[0\]: .*greater than or equal to 0"),
    ("seeds", [2**32], r"seeds\[0\]: .*less than 4294967296"),
    ("seeds", [1, "two"], r"seeds\[1\]: .*integer.*got 'two'"),
    ("seeds", [1.5], r"seeds\[0\]: .*integer"),
]


@pytest.mark.parametrize(("path", "value", "message"), WRONG)
def test_a_wrong_field_is_named_with_its_path(path: str, value: Any, message: str) -> None:
    field, _, inner = path.partition(".")
    with pytest.raises(InvalidSpec, match=message) as caught:
        from_mapping(SMALLEST | {field: {inner: value} if inner else value})
    assert "pydantic" not in str(caught.value)
    assert "1 wrong field:\n" in str(caught.value)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({"task": ["x"]}, r"^  task: unknown field; did you mean 'tasks'\? known: name,"),
        ({"training": {"learning_rat": 1}}, "did you mean 'learning_rate'"),
        ({"training": {"lr": 1}}, "training.lr: unknown field; .*known: epochs, steps"),
        ({"limits": {"tset": 1}}, "limits.tset: unknown field; did you mean 'test'"),
        (
            {"methods": [{"name": "lora", "paramters": {}}]},
            r"methods\[0\].paramters: unknown field; did you mean 'parameters'",
        ),
        (
            {"methods": ["base", {"name": "lora", "training": {"epoch": 1}}]},
            r"methods\[1\].training.epoch: unknown field; did you mean 'epochs'",
        ),
        (
            {"models": [{"name": "tiny", "revison": "main"}]},
            r"models\[0\].revison: unknown field; did you mean 'revision'",
        ),
    ],
)
def test_an_unknown_field_is_refused_with_the_nearest_known(
    raw: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidSpec, match=f"(?m){message}") as caught:
        from_mapping(SMALLEST | raw)
    assert str(caught.value).count("\n") == 1


def test_every_wrong_field_is_listed_at_once() -> None:
    raw = SMALLEST | {"seeds": [], "training": {"epochs": 0, "lr": 1}, "tasks": []}
    with pytest.raises(InvalidSpec, match="the spec has 4 wrong fields:") as caught:
        from_mapping(raw)
    for path in ("seeds:", "training.epochs:", "training.lr:", "tasks:"):
        assert f"\n  {path}" in str(caught.value)


@pytest.mark.parametrize("field", SMALLEST)
def test_a_required_field_that_is_missing_is_named(field: str) -> None:
    raw = {name: value for name, value in SMALLEST.items() if name != field}
    with pytest.raises(InvalidSpec, match=f"{field}: missing; the field is required"):
        from_mapping(raw)


def test_a_model_may_stand_there_twice_at_two_revisions() -> None:
    choices = [{"name": "a/b", "revision": "v1"}, {"name": "a/b", "revision": "v2"}]
    assert len(from_mapping(SMALLEST | {"models": choices}).models) == 2


def test_a_method_may_stand_there_twice_under_two_labels() -> None:
    choices = ["lora", {"name": "lora", "label": "lora r=4", "parameters": {"rank": 4}}]
    benchmark = from_mapping(SMALLEST | {"methods": choices})
    assert [method.label for method in benchmark.methods] == ["lora", "lora r=4"]


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from([*Benchmark.model_fields, *TrainingSection.model_fields, "x"])
            | names,
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from([*Benchmark.model_fields, "x"]), junk, max_size=8))
def test_any_mapping_is_a_benchmark_or_a_clear_error(raw: dict[str, Any]) -> None:
    with suppress(InvalidSpec):
        assert from_mapping(SMALLEST | raw).tasks
