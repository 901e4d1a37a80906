"""The tests of what touches a device, on this machine."""

from __future__ import annotations

import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

from benchmarks.gpu.size import Size

ROOT = Path(__file__).parents[2]
ROOMS = ("training", "models", "cost", "evaluation", "engine", "methods")


def run(size: Size) -> dict[str, Any]:
    """How many tests pass, and the names of those that do not."""
    report = size.folder / "tests.xml"
    where = [f"tests/{room}" for room in ROOMS]
    chosen = os.environ.get("PEFTBENCH_GPU_TESTS", "").split() or where
    if size.is_toy:
        chosen = ["tests/models/test_device.py"]
    processes = size.choose(["-n", str(len(os.sched_getaffinity(0)) - 1)], [])
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            *processes,
            f"--junit-xml={report}",
            "--tb=short",
            "--override-ini=addopts=",  # doctests know no device
            *chosen,
        ],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,  # what fails is the result
    )
    cases = ElementTree.parse(report).iter("testcase")
    found: dict[str, Any] = {"passed": 0, "skipped": 0, "failed": {}}
    for case in cases:
        problem = next((one for one in case if one.tag in ("failure", "error")), None)
        if problem is not None:
            name = f"{case.get('classname')}::{case.get('name')}"
            found["failed"][name] = str(problem.get("message"))[:300]
        else:
            found["skipped" if case.find("skipped") is not None else "passed"] += 1
    return found
