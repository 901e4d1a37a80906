"""The example that CONTRIBUTING opens with is a method that works."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from peftbench import methods
from peftbench.testing import check_method

TEXT = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text("utf-8")


def test_method_in_twenty_lines_passes_every_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    example, use = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    statements = [line for line in example.splitlines() if line.strip()]
    assert len(statements) <= 20, "it is said to be that short"
    file = tmp_path / "value_lora.py"
    file.write_text(example)
    monkeypatch.setenv("PEFTBENCH_PLUGINS", os.fspath(file))
    assert "value-lora" in methods.names()
    findings = check_method(methods.get("value-lora")())
    assert findings
    assert [finding for finding in findings if not finding.passed] == []
    exec(compile(use, "CONTRIBUTING.md", "exec"), {})
