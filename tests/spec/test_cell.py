"""A cell is a value: the same question has the same id everywhere, another has another."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peftbench.spec import Cell, Training
from peftbench.spec.frozen import canonical_json, digest

LITERAL: dict[str, Any] = {
    "model": {
        "name": "tiny",
        "identity": "sha256:00ff",
        "dtype": "auto",
        "chat_template": True,
    },
    "method": {
        "name": "lora",
        "parameters": {"rank": 8, "alpha": 16, "dropout": 0.0, "target_modules": ["é"]},
    },
    "task": {"name": "generated_mood", "version": 1, "data": "generated v1"},
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
        "max_length": 1024,
        "precision": "float32",
        "validations": 4,
        "patience": None,
    },
    "max_length": 1024,
    "limits": {"train": None, "validation": 512, "test": None},
    "protocol": "strict",
}

#: Changing this orphans every stored result: raise it only with the schema version.
LITERAL_ID = "088164483a367225f6bc8fc7d3896bf4ff20ff33961422c5b18b6a0f22c228f2"


def changed(path: str, value: Any) -> dict[str, Any]:
    """The literal cell with one field set to another value."""
    raw: dict[str, Any] = json.loads(json.dumps(LITERAL))
    *parents, last = path.split(".")
    inside = raw
    for parent in parents:
        inside = inside[parent]
    inside[last] = value
    return raw


def shuffled(value: Any) -> Any:
    """The same mapping with its keys the other way round, at every depth."""
    if isinstance(value, dict):
        return {key: shuffled(inner) for key, inner in reversed(value.items())}
    return value


def test_the_literal_cell_has_its_id_of_old() -> None:
    assert Cell.model_validate(LITERAL).id == LITERAL_ID


def test_the_order_of_keys_is_not_part_of_a_cell() -> None:
    assert Cell.model_validate(shuffled(LITERAL)).id == LITERAL_ID


@pytest.mark.parametrize("hash_seed", ["0", "1", "4242"])
def test_another_process_computes_the_same_id(hash_seed: str) -> None:
    program = (
        "import json, sys; from peftbench.spec import Cell; "
        "print(Cell.model_validate(json.load(sys.stdin)).id)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=json.dumps(shuffled(LITERAL)),
        env=os.environ | {"PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == LITERAL_ID


OTHER: dict[str, Any] = {
    "model.name": "other",
    "model.identity": "sha256:00fe",
    "model.dtype": "float32",
    "model.chat_template": False,
    "method.name": "ia3",
    "method.parameters": {},
    "method.parameters.rank": 9,
    "method.parameters.dropout": 0.1,
    "method.parameters.target_modules": ["è"],
    "task.name": "generated_sums",
    "task.version": 2,
    "task.data": "generated v2",
    "seed": 2,
    "training": None,
    "training.epochs": 2.0,
    "training.steps": 100,
    "training.batch_size": 8,
    "training.micro_batch_size": 4,
    "training.gradient_checkpointing": True,
    "training.learning_rate": 0.00020000000000000004,
    "training.weight_decay": 0.01,
    "training.scheduler": "linear",
    "training.warmup_fraction": 0.0,
    "training.max_grad_norm": None,
    "training.max_length": 512,
    "training.precision": "bfloat16",
    "training.validations": 5,
    "training.patience": 1,
    "max_length": 512,
    "limits.train": 1,
    "limits.validation": None,
    "limits.test": 1,
}


@pytest.mark.parametrize("path", OTHER)
def test_every_setting_is_part_of_the_id(path: str) -> None:
    assert Cell.model_validate(changed(path, OTHER[path])).id != LITERAL_ID


def test_no_setting_of_a_cell_was_forgotten_above() -> None:
    fields = {
        f"{name}.{inner}" if isinstance(value, dict) else name
        for name, value in LITERAL.items()
        for inner in (value if isinstance(value, dict) else [name])
    }
    assert fields == {
        *(path for path in OTHER if path.count(".") < 2 and path != "training"),
        "protocol",  # so far there is one
    }
    assert LITERAL["training"].keys() == Training.model_fields.keys()


def test_a_cell_survives_the_store() -> None:
    cell = Cell.model_validate(LITERAL)
    again = Cell.model_validate_json(canonical_json(cell.model_dump(mode="json")))
    assert again == cell
    assert again.id == cell.id
    assert cell.id.startswith(cell.short_id)
    assert len(cell.short_id) == 12


def test_a_whole_number_given_as_float_is_the_same_cell() -> None:
    """YAML says `epochs: 3`, Python `3.0`: one question, one id."""
    assert Cell.model_validate(changed("training.epochs", 3)).id == LITERAL_ID


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
