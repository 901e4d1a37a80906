"""The store: written once, whole, by one worker at a time."""

from __future__ import annotations

from pathlib import Path

import pytest

from peftbench.store import Store
from peftbench.testing import STORE_CHECKS


@pytest.mark.parametrize("check", STORE_CHECKS)
def test_store_keeps_what_every_store_must(check: str, tmp_path: Path) -> None:
    assert STORE_CHECKS[check](Store.open, tmp_path / "store")


def test_there_are_checks() -> None:
    assert len(STORE_CHECKS) > 20
