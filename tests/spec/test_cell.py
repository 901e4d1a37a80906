"""A cell is a view: it stands for steps, and says which of its settings each is made of."""

from __future__ import annotations

import json
from typing import Any

import pytest

from peftbench.spec import Cell, TestSet
from peftbench.spec.frozen import canonical_json

LITERAL: dict[str, Any] = {
    "model": {
        "name": "tiny",
        "identity": "sha256:00ff",
        "dtype": "float32",
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
        "precision": "float32",
        "validations": 4,
        "patience": None,
    },
    "max_length": 1024,
    "limits": {"train": None, "validation": 512, "test": None},
    "sampling": None,
    "protocol": "strict",
    "origin": None,
}

#: Changing this orphans every stored result: raise it only with the schema version.
LITERAL_ID = "e3281beebcaf64a452f5c0abbad461c07d11f69b920b443be5f71ea774b5b725"

CELL = Cell.model_validate(LITERAL)


def changed(path: str, value: Any) -> Cell:
    """The literal cell with one field set to another value."""
    raw: dict[str, Any] = json.loads(json.dumps(LITERAL))
    *parents, last = path.split(".")
    inside = raw
    for parent in parents:
        inside = inside[parent]
    inside[last] = value
    return Cell.model_validate(raw)


def test_the_literal_cell_has_its_id_of_old() -> None:
    assert CELL.id == LITERAL_ID


def test_its_id_is_that_of_its_answers_to_the_test_split() -> None:
    assert CELL.train is not None
    assert CELL.id == CELL.predict().id == CELL.predict(TestSet()).id
    assert CELL.predict().adapter == CELL.train.id
    assert CELL.predict().method is None, "the adapter says what it is"
    assert CELL.id.startswith(CELL.short_id)
    assert len(CELL.short_id) == 12


#: Fields that an adapter is made of, so that they are in its answers too.
OF_THE_ADAPTER: dict[str, Any] = {
    "model.identity": "sha256:00fe",
    "model.dtype": "bfloat16",
    "model.chat_template": False,
    "method.name": "ia3",
    "method.parameters": {},
    "method.parameters.rank": 9,
    "method.parameters.target_modules": ["è"],
    "task.name": "generated_sums",
    "task.version": 2,
    "task.data": "generated v2",
    "seed": 2,
    "training.epochs": 2.0,
    "training.steps": 100,
    "training.learning_rate": 0.00020000000000000004,
    "training.max_grad_norm": None,
    "max_length": 512,
    "limits.train": 1,
    "limits.validation": None,
    "protocol": "peft-bench",
    "origin": "peft-factory sha256:0",
}
#: Fields of how it is asked, which leave it as it is.
OF_THE_ANSWERS: dict[str, Any] = {
    "limits.test": 1,
    "sampling": {"samples": 5},
}


@pytest.mark.parametrize("path", OF_THE_ADAPTER)
def test_what_an_adapter_is_made_of_is_in_both_of_its_steps(path: str) -> None:
    other = changed(path, OF_THE_ADAPTER[path])
    assert other.train is not None
    assert CELL.train is not None
    assert other.train.id != CELL.train.id
    assert other.id != CELL.id


@pytest.mark.parametrize("path", OF_THE_ANSWERS)
def test_how_an_adapter_is_asked_is_in_its_answers_alone(path: str) -> None:
    other = changed(path, OF_THE_ANSWERS[path])
    assert other.train == CELL.train
    assert other.id != CELL.id


def test_no_setting_of_a_cell_was_forgotten_above() -> None:
    fields = {
        f"{name}.{inner}" if isinstance(value, dict) else name
        for name, value in LITERAL.items()
        for inner in (value if isinstance(value, dict) else [name])
        if name != "training"  # each of its fields is in `test_steps.py`
    }
    told = {path for path in (*OF_THE_ADAPTER, *OF_THE_ANSWERS) if path.count(".") < 2}
    assert fields == {*(p for p in told if not p.startswith("training.")), "model.name"}
    assert LITERAL.keys() == Cell.model_fields.keys()


def test_what_a_model_is_called_is_no_part_of_its_steps() -> None:
    other = changed("model.name", "models/a-copy-of-tiny")
    assert other != CELL
    assert other.train == CELL.train
    assert other.id == CELL.id


def test_what_trains_nothing_is_asked_as_its_method_and_for_no_seed() -> None:
    bare = CELL.model_copy(update={"training": None, "seed": None})
    assert bare.train is None
    assert bare.predict().adapter is None
    assert bare.predict().method == CELL.method
    assert bare.id != CELL.id
    assert bare.model_copy(update={"limits": {"train": 5}}).id == bare.id, (
        "without training no training rows are read"
    )


def test_samples_are_drawn_by_the_runs_own_seed() -> None:
    asked = changed("sampling", {"samples": 5})
    assert CELL.predict().sampling_seed is None
    assert asked.predict().sampling_seed == 1
    assert asked.model_copy(update={"seed": 7}).predict().sampling_seed == 7
    bare = asked.model_copy(update={"training": None, "seed": None})
    assert bare.predict().sampling_seed == 0


def test_every_test_set_is_a_step_of_its_own_on_the_same_adapter() -> None:
    sets = [
        TestSet(),
        TestSet(name="mismatched"),
        TestSet(name="hans", version=1, data="sha256:1"),
        TestSet(name="hans", version=2, data="sha256:1"),
        TestSet(name="hans", version=1, data="sha256:2"),
    ]
    asked = [CELL.predict(one) for one in sets]
    assert len({one.id for one in asked}) == len(sets)
    assert {one.adapter for one in asked} == {CELL.train.id if CELL.train else ""}
    assert [one.test_set.is_perturbed for one in asked] == [False, False, True, True, True]


def test_an_import_has_both_steps_though_nothing_of_its_training_is_told() -> None:
    imported = changed("origin", "peft-factory sha256:0").model_copy(
        update={"training": None, "seed": None}
    )
    assert imported.train is not None
    assert imported.train.training is None
    assert imported.predict().adapter == imported.train.id


def test_a_copy_does_not_carry_the_id_along() -> None:
    assert CELL.id  # computed before the copy is made
    other = CELL.model_copy(update={"seed": 2})
    assert other.id == changed("seed", 2).id != CELL.id
    assert other.train == changed("seed", 2).train


def test_a_cell_survives_the_store() -> None:
    again = Cell.model_validate_json(canonical_json(CELL.model_dump(mode="json")))
    assert again == CELL
    assert again.id == CELL.id
    assert again.train == CELL.train
