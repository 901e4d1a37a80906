"""What tests of the engine share."""

from __future__ import annotations

import pytest
from in_process import InProcess

from peftbench.engine import local


@pytest.fixture
def no_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let runs be worked through in the test's own process."""
    monkeypatch.setattr(local, "LocalEngine", InProcess)
