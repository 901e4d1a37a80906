"""What `pyproject.toml` admits lies between two sets of versions that the tests run on."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
REQUIREMENTS = [
    Requirement(line)
    for line in (*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["dev"])
]


def pins(file: str) -> dict[str, Version]:
    """What a file of constraints says of each package."""
    lines = (ROOT / file).read_text("utf-8").splitlines()
    stated = (line.split("==") for line in lines if line and not line.startswith("#"))
    return {canonicalize_name(name): Version(version) for name, version in stated}


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=lambda one: one.name)
def test_a_range_begins_where_the_lowest_set_is_and_holds_the_usual_one(
    requirement: Requirement,
) -> None:
    name = canonicalize_name(requirement.name)
    floors = [Version(s.version) for s in requirement.specifier if s.operator == ">="]
    assert floors == [pins("constraints-lowest.txt")[name]]
    assert pins("constraints.txt")[name] in requirement.specifier
