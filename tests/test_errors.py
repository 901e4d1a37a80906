"""One tree of errors, whose messages say what to do and survive another process."""

from __future__ import annotations

import pickle

import pytest

from peftbench import errors
from peftbench.errors import (
    CellFailed,
    CheckFailed,
    Diverged,
    InvalidSpec,
    OutOfMemory,
    PeftbenchError,
    UnknownName,
)

RAISED = [
    found
    for found in vars(errors).values()
    if isinstance(found, type) and issubclass(found, Exception)
]


def test_there_are_errors() -> None:
    assert len(RAISED) >= 10


@pytest.mark.parametrize("error", RAISED)
def test_every_error_is_a_peftbench_error_and_is_drawn_in_the_tree(
    error: type[Exception],
) -> None:
    assert issubclass(error, PeftbenchError)
    assert f"{error.__name__} " in f"{errors.__doc__}".replace("\n", " ")


@pytest.mark.parametrize("error", [e for e in RAISED if e is not UnknownName])
def test_every_error_survives_the_way_between_processes(error: type[Exception]) -> None:
    again = pickle.loads(pickle.dumps(error("what, found, next")))
    assert type(again) is error
    assert str(again) == "what, found, next"


def test_an_unknown_name_survives_the_way_between_processes() -> None:
    error = UnknownName("task", "sst", iter(["sst2", "rte"]))
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is UnknownName
    assert str(again) == str(error)


def test_an_unknown_name_suggests_the_nearest_and_lists_the_rest() -> None:
    assert str(UnknownName("task", "sst", ["sst2", "rte"])) == (
        "Unknown task 'sst'. Did you mean 'sst2'? Known: rte, sst2. "
        "List them with `peftbench list tasks`."
    )


def test_an_unknown_name_suggests_nothing_far_off() -> None:
    assert "Did you mean" not in str(UnknownName("task", "zzz", ["sst2", "rte"]))


def test_an_unknown_name_is_a_wrong_spec_and_a_failed_lookup() -> None:
    assert issubclass(UnknownName, InvalidSpec)
    assert issubclass(UnknownName, LookupError)
    assert issubclass(InvalidSpec, ValueError)


def test_each_way_a_cell_can_fail_has_the_status_its_record_will_have() -> None:
    assert {error: error.status for error in (CellFailed, CheckFailed)} == {
        CellFailed: "failed",
        CheckFailed: "failed",
    }
    assert (Diverged.status, OutOfMemory.status) == ("diverged", "oom")
