"""What tests of the command line share."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _no_processes(no_processes: None) -> None:
    """Only tests that start a process themselves are about processes."""
