"""A run that is killed and goes on gives the same adapters as one that is not, bit for bit."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.gpu.size import Size

from peftbench.store import Store, Trained


def run(size: Size) -> dict[str, Any]:
    """Digests of every adapter, run whole, run whole again, and run with a kill."""
    spec = {
        "name": "kill",
        "models": [{"name": str(size.model("135m")), "dtype": "bfloat16"}],
        "methods": size.choose(["lora", "dora", "prefix-tuning"], ["lora"]),
        "tasks": ["generated_sums"],
        "seeds": [1],
        "training": {"steps": size.choose(40, 8), "batch_size": 8, "validations": 4},
        "limits": {"train": 128, "validation": 8, "test": 8},
    }
    file = size.folder / "kill.json"
    file.write_text(json.dumps(spec))  # which is YAML too
    whole = size.choose(("whole", "again"), ("whole",))
    stores = {name: size.folder / f"kill-{name}" for name in (*whole, "killed")}
    for name in whole:
        _start(file, stores[name]).wait()
    _kill_after_a_checkpoint(_start(file, stores["killed"]), stores["killed"])
    _start(file, stores["killed"]).wait()
    found = {name: _adapters(folder) for name, folder in stores.items()}
    return {
        "repeats_bit_for_bit": found["whole"]["digests"] == found[whole[-1]]["digests"],
        "resumed_is_bit_for_bit": found["whole"]["digests"] == found["killed"]["digests"],
        **found,
    }


def _start(spec: Path, store: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "peftbench", "run", str(spec), "--store", str(store)]
    return subprocess.Popen(
        [*command, "--no-costs", "--workers", "1"],
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )


def _kill_after_a_checkpoint(process: subprocess.Popen[bytes], store: Path) -> None:
    while process.poll() is None and not list(store.glob("checkpoints/*/*/step-*")):
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _adapters(folder: Path) -> dict[str, Any]:
    with Store.open(folder, create=False) as store:
        trained = {
            one.step.method.name: one
            for one in store.results.of_kind("train")
            if isinstance(one.outcome, Trained)
        }
    return {
        "status": {name: one.status for name, one in sorted(trained.items())},
        "digests": {name: dict(one.digests) for name, one in sorted(trained.items())},
        "resumed": sum(one.outcome.manifest.resumed for one in trained.values()),
        "not_repeatable": {
            name: one.outcome.manifest.not_repeatable
            for name, one in sorted(trained.items())
        },
    }
