"""What all tests share. None needs a network: the hub is switched off before any import."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from architecture_rotation import Rotation
from in_process import workers_in_process
from peftbench.evaluation.sandbox import Bubblewrap, unavailable

os.environ["HF_HUB_OFFLINE"] = "1"

_BESIDE_THE_REPOSITORY = Path(__file__).resolve().parents[2] / "shared"


def pytest_report_header() -> str:
    """Which methods are tried on which architectures, and how to repeat that."""
    return f"architectures: {Rotation.today()}"


@pytest.fixture(scope="module", autouse=True)
def what_is_imported_stays() -> None:
    """The garbage collector looks no more at what was there before a file's tests.

    That is more than a million objects of libraries and of pytest, and tests that ask for
    a collection spend their time on them.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The shared data pack: real rows, too large and too mixed in licence to ship.

    With PEFTBENCH_REQUIRE_SHARED=1 a missing pack fails instead of skipping.
    """
    folder = Path(os.environ.get("PEFTBENCH_SHARED") or _BESIDE_THE_REPOSITORY)
    if not (folder / "data").is_dir():
        reason = "needs the shared data pack: set PEFTBENCH_SHARED"
        if os.environ.get("PEFTBENCH_REQUIRE_SHARED") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return folder


@pytest.fixture(scope="session")
def sandbox() -> Bubblewrap:
    """The sandbox for programs; where all must be tested, one that is missing fails."""
    if reason := unavailable():
        if os.environ.get("PEFTBENCH_REQUIRE_SHARED") == "1" or os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return Bubblewrap()


@pytest.fixture
def no_processes() -> Iterator[None]:
    """Let runs be worked through in the test's own process."""
    with workers_in_process():
        yield
