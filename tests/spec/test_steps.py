"""A step is a value: the same work has the same id everywhere, other work has another."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from peftbench.spec import (
    AnyStep,
    Base,
    CellMethod,
    Grade,
    Measure,
    Predict,
    Probe,
    Step,
    Train,
    Training,
    Trial,
)
from peftbench.spec.frozen import canonical_json, digest
from peftbench.spec.steps import KINDS

TRAIN: dict[str, Any] = {
    "base": {"identity": "sha256:00ff", "dtype": "float32"},
    "chat_template": True,
    "chat_rendering": None,
    "method": {
        "name": "lora",
        "parameters": {"rank": 8, "alpha": 16, "dropout": 0.0, "target_modules": ["é"]},
        "source": "sha256:11ff",
    },
    "task": {
        "name": "generated_mood",
        "version": 1,
        "data": "generated v1",
        "source": "sha256:22ff",
    },
    "protocol": "strict",
    "train_limit": 100,
    "validation_limit": 512,
    "max_length": 1024,
    "seed": 1,
    "training": {
        "epochs": 3.0,
        "steps": None,
        "batch_size": 16,
        "micro_batch_size": None,
        "gradient_checkpointing": False,
        "learning_rate": 0.0002,
        "weight_decay": 0.0,
        "scheduler": "cosine",
        "warmup_fraction": 0.1,
        "max_grad_norm": 1.0,
        "precision": "float32",
        "validations": 4,
        "patience": None,
    },
    "origin": None,
}
PREDICT: dict[str, Any] = {
    "base": TRAIN["base"],
    "chat_template": True,
    "chat_rendering": None,
    "adapter": "0" * 64,
    "method": None,
    "task": TRAIN["task"],
    "protocol": "strict",
    "test_set": {"name": "hans", "version": 1, "data": "sha256:33ff", "source": None},
    "test_limit": None,
    "max_length": 1024,
    "sampling": {"samples": 5, "temperature": 0.8, "top_p": 0.95},
    "sampling_seed": 1,
    "origin": None,
}
GRADE: dict[str, Any] = {
    "predictions": "0" * 64,
    "beside": None,
    "train_limit": 100,
    "validation_limit": 512,
    "metrics": ["accuracy", "f1_macro"],
    "scorer": "f" * 64,
}
MEASURE: dict[str, Any] = {
    "base": TRAIN["base"],
    "method": TRAIN["method"],
    "probe": {"inference_length": 256},
    "device": "cpu",
}
LITERAL: dict[str, dict[str, Any]] = {
    "train": TRAIN,
    "trial": {"train": TRAIN, "stop_below": [None, 0.5]},
    "predict": PREDICT,
    "grade": GRADE,
    "measure": MEASURE,
}

#: Changing one orphans every stored result: only together with the schema version.
LITERAL_IDS = {
    "train": "1464129c8b1ccf65632749bebd6c2cd89c0c939ed9282bb0767ead70ddc2d4e5",
    "trial": "813541e129123e8b8977669f2e607d54efd0672a9d50e1551f2a659bcbc4c0be",
    "predict": "da53cd99b8a543cf34a154ab1995cfe8e4a8861fa582f5771d01866f80f61554",
    "grade": "ee69ed48b70d7b744bfb3c89b4e82e3d25730e588e223ab5e55a49fcf0529cbb",
    "measure": "c7659cc5f70318e4b8b9d2d49f0b1fad562d865c1bdf881711f2d6cac824a055",
}

OTHER: dict[str, Any] = {
    "train.base.identity": "sha256:00fe",
    "train.base.dtype": "bfloat16",
    "train.chat_template": False,
    "train.chat_rendering": "sha256:44ff",
    "train.method.name": "ia3",
    "train.method.source": None,
    "train.method.parameters": {},
    "train.method.parameters.rank": 9,
    "train.method.parameters.dropout": 0.1,
    "train.method.parameters.target_modules": ["è"],
    "train.task.name": "generated_sums",
    "train.task.version": 2,
    "train.task.data": "generated v2",
    "train.task.source": "sha256:22fe",
    "train.protocol": "peft-bench",
    "train.train_limit": 101,
    "train.validation_limit": None,
    "train.max_length": 512,
    "train.seed": 2,
    "train.training": None,
    "train.training.epochs": 2.0,
    "train.training.steps": 100,
    "train.training.batch_size": 8,
    "train.training.micro_batch_size": 4,
    "train.training.gradient_checkpointing": True,
    "train.training.learning_rate": 0.00020000000000000004,
    "train.training.weight_decay": 0.01,
    "train.training.scheduler": "linear",
    "train.training.warmup_fraction": 0.0,
    "train.training.max_grad_norm": None,
    "train.training.precision": "bfloat16",
    "train.training.validations": 5,
    "train.training.patience": 1,
    "train.origin": "peft-factory sha256:0",
    "trial.train.seed": 2,
    "trial.stop_below": [None, 0.4],
    "predict.base.identity": "sha256:00fe",
    "predict.base.dtype": "bfloat16",
    "predict.chat_template": False,
    "predict.chat_rendering": "sha256:44ff",
    "predict.adapter": "1" * 64,
    "predict.method": TRAIN["method"],
    "predict.task.name": "generated_sums",
    "predict.task.version": 2,
    "predict.task.data": "generated v2",
    "predict.task.source": None,
    "predict.protocol": "peft-bench",
    "predict.test_set.name": "test",
    "predict.test_set.version": 2,
    "predict.test_set.data": "sha256:33fe",
    "predict.test_set.source": "sha256:0",
    "predict.test_limit": 1,
    "predict.max_length": 512,
    "predict.sampling": None,
    "predict.sampling.samples": 6,
    "predict.sampling.temperature": 0.7,
    "predict.sampling.top_p": 0.9,
    "predict.sampling_seed": 2,
    "predict.origin": "peft-factory sha256:0",
    "grade.predictions": "1" * 64,
    "grade.beside": "1" * 64,
    "grade.train_limit": None,
    "grade.validation_limit": None,
    "grade.metrics": ["f1_macro", "accuracy"],
    "grade.scorer": "e" * 64,
    "measure.base.dtype": "bfloat16",
    "measure.method.parameters.rank": 9,
    "measure.probe.inference_length": 512,
    "measure.device": "NVIDIA H100 80GB HBM3",
}


def made(kind: str, raw: Any = None) -> AnyStep:
    return KINDS[kind].model_validate(LITERAL[kind] if raw is None else raw)


def changed(path: str, value: Any) -> AnyStep:
    """The literal step with one field set to another value."""
    kind, *parents, last = path.split(".")
    raw: dict[str, Any] = json.loads(json.dumps(LITERAL[kind]))
    inside = raw
    for parent in parents:
        inside = inside[parent]
    inside[last] = value
    return made(kind, raw)


def shuffled(value: Any) -> Any:
    """The same mapping with its keys the other way round, at every depth."""
    if isinstance(value, dict):
        return {key: shuffled(inner) for key, inner in reversed(value.items())}
    return value


def without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: without_none(inner) for k, inner in value.items() if inner is not None}
    return value


@pytest.mark.parametrize("kind", LITERAL)
def test_a_literal_step_has_its_id_of_old(kind: str) -> None:
    assert made(kind).id == LITERAL_IDS[kind]


@pytest.mark.parametrize("kind", LITERAL)
def test_the_order_of_keys_is_not_part_of_a_step(kind: str) -> None:
    assert made(kind, shuffled(LITERAL[kind])).id == LITERAL_IDS[kind]


@pytest.mark.parametrize("kind", LITERAL)
def test_what_is_none_may_as_well_not_be_there(kind: str) -> None:
    """A field that comes with a later version, and is None, leaves all ids as they are."""
    raw = without_none(LITERAL[kind])
    assert made(kind, raw).id == LITERAL_IDS[kind]
    assert "null" not in canonical_json(made("train").content)


def test_the_kind_is_part_of_an_id() -> None:
    assert set(KINDS) == set(LITERAL)

    class Other(Step):
        kind = "other"

    class Same(Step):
        kind = "same"

    assert Other().id != Same().id


@pytest.mark.parametrize("hash_seed", ["0", "1", "4242"])
def test_another_process_computes_the_same_ids(hash_seed: str) -> None:
    program = (
        "import json, sys; from peftbench.spec.steps import KINDS; "
        "raw = json.load(sys.stdin); "
        "print(json.dumps({k: KINDS[k].model_validate(v).id for k, v in raw.items()}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=json.dumps(shuffled(LITERAL)),
        env=os.environ | {"PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == LITERAL_IDS


@pytest.mark.parametrize("path", OTHER)
def test_every_setting_is_part_of_the_id(path: str) -> None:
    step = changed(path, OTHER[path])
    assert step.id != LITERAL_IDS[step.kind]


def test_no_setting_was_forgotten_above() -> None:
    for kind in ("train", "predict", "grade"):
        fields = {
            f"{kind}.{name}.{inner}" if isinstance(value, dict) else f"{kind}.{name}"
            for name, value in LITERAL[kind].items()
            for inner in (value if isinstance(value, dict) else [name])
        }
        told = {".".join(path.split(".")[:3]) for path in OTHER if path.startswith(kind)}
        assert fields <= told
        assert LITERAL[kind].keys() == KINDS[kind].model_fields.keys()
    assert TRAIN["training"].keys() == Training.model_fields.keys()


@pytest.mark.parametrize("path", ["", *OTHER])
def test_a_step_is_read_again_from_its_content(path: str) -> None:
    """Also where None says something: gradients that are not clipped are no default."""
    step = changed(path, OTHER[path]) if path else made("train")
    again = made(step.kind, json.loads(canonical_json(step.content)))
    assert again == step
    assert again.id == step.id


def test_a_whole_number_given_as_float_is_the_same_step() -> None:
    """YAML says `epochs: 3`, Python `3.0`: one question, one id."""
    assert changed("train.training.epochs", 3).id == LITERAL_IDS["train"]


def test_a_copy_is_checked_and_has_an_id_of_its_own() -> None:
    train = Train.model_validate(TRAIN)
    assert train.id == LITERAL_IDS["train"]  # computed before the copy is made
    other = train.model_copy(update={"seed": 2})
    assert other.id == changed("train.seed", 2).id
    assert other.model_copy(update={"seed": 1}).id == LITERAL_IDS["train"]
    assert train.model_copy().id == train.id
    with pytest.raises(ValidationError, match="max_length"):
        train.model_copy(update={"max_length": "long"})
    with pytest.raises(ValidationError, match="extra"):
        train.model_copy(update={"sed": 1})
    with pytest.raises(ValidationError, match="frozen"):
        train.seed = 2  # type: ignore[misc]


def test_where_adapters_lie_is_no_part_of_what_they_are() -> None:
    def method(location: str | None) -> CellMethod:
        return CellMethod(name="x", parameters={}, location=location)

    def measure(location: str | None) -> Measure:
        base = Base(identity="sha256:0", dtype="float32")
        return Measure(base=base, method=method(location), probe=Probe(), device="cpu")

    assert measure("/here").id == measure("/there").id == measure(None).id
    assert "/here" not in canonical_json(measure("/here").content)


def test_a_step_names_its_inputs_by_their_ids() -> None:
    train = Train.model_validate(TRAIN)
    predict = Predict.model_validate({**PREDICT, "adapter": train.id})
    grade = Grade.model_validate({**GRADE, "predictions": predict.id})
    other = predict.model_copy(update={"adapter": changed("train.seed", 2).id})
    assert other.id != predict.id
    assert grade.model_copy(update={"predictions": other.id}).id != grade.id
    assert Trial(train=train, stop_below=(None,)).id != train.id


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False).filter(
        lambda number: abs(number) != float("inf")
    ) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=10,
)  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(json_values)
def test_canonical_json_is_json_and_forgets_only_the_order_of_keys(value: Any) -> None:
    text = canonical_json(value)
    assert json.loads(text) == value
    assert canonical_json(json.loads(text)) == text
    assert canonical_json(shuffled(value)) == text


@settings(max_examples=100, deadline=None)
@given(json_values, json_values)
def test_different_values_have_different_digests(one: Any, other: Any) -> None:
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (digest(one) == digest(other)) == same


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_numbers_that_json_does_not_know_have_no_digest(number: float) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        digest({"x": number})
