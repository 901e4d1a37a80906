"""`peftbench doctor`: what this machine has, and what is missing."""

from __future__ import annotations

import os
import platform
import shutil
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import typer

from peftbench.cli._app import app
from peftbench.cli._say import say

#: Below this a run of a small model may fill the disk.
_LITTLE_DISK_BYTES = 2_000_000_000


@app.command()
def doctor() -> None:
    """Show versions, device and disk, and what is missing. Exit code 1 if something is."""
    problems = [*_packages(), *_device(), *_disk(), *_hub()]
    _programs()
    for problem in problems:
        say(f"problem: {problem}")
    if problems:
        raise typer.Exit(1)
    say("nothing is missing")


def _packages() -> Iterator[str]:
    from packaging.requirements import Requirement

    say(f"python {platform.python_version()} on {platform.platform()}")
    for line in _required():
        wanted = Requirement(line)
        if wanted.marker and not wanted.marker.evaluate({"extra": ""}):
            continue
        try:
            found = version(wanted.name)
        except PackageNotFoundError:
            yield f'{wanted.name} is not installed: `pip install "{wanted}"`'
            continue
        say(f"{wanted.name} {found}")
        if not wanted.specifier.contains(found, prereleases=True):
            yield f'{wanted.name} {found} is outside {wanted.specifier}: `pip install "{wanted}"`'


def _required() -> Sequence[str]:
    """Of the installed package, or of the source tree that is on the path."""
    with suppress(PackageNotFoundError):
        return requires("peftbench") or ()
    file = Path(__file__).parents[3] / "pyproject.toml"
    found = tomllib.loads(file.read_text("utf-8")) if file.is_file() else {}
    required: list[str] = found.get("project", {}).get("dependencies", [])
    return required


def _device() -> Iterator[str]:
    say(
        f"cpu: {len(os.sched_getaffinity(0))} cores usable, "
        f"OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS', 'not set')}"
    )
    try:
        import torch
    except ImportError as error:
        yield f"torch does not load: {error}"
        return
    if not torch.cuda.is_available():
        say("gpu: none that torch can use; runs will use the CPU")
        if shutil.which("nvidia-smi"):
            yield (
                "there is an NVIDIA driver, but this torch build does not use it: install "
                "the CUDA build, see https://pytorch.org/get-started/locally"
            )
        return
    for index in range(torch.cuda.device_count()):
        facts = torch.cuda.get_device_properties(index)
        say(f"gpu {index}: {facts.name}, {facts.total_memory / 1e9:.0f} GB")


def _disk() -> Iterator[str]:
    free = shutil.disk_usage(Path.cwd()).free
    say(f"disk: {free / 1e9:.1f} GB free in {Path.cwd()}")
    if free < _LITTLE_DISK_BYTES:
        yield f"only {free / 1e9:.1f} GB of disk are free"


def _hub() -> Iterator[str]:
    from huggingface_hub import constants, get_token

    offline = "offline mode" if constants.HF_HUB_OFFLINE else "online mode"
    login = (
        "logged in" if get_token() else "not logged in (gated models need `hf auth login`)"
    )
    say(f"hugging face hub: {offline}, {login}; cache {constants.HF_HUB_CACHE}")
    folder = os.environ.get("PEFTBENCH_DATA_DIR")
    say(f"data folder: {folder or 'not set (PEFTBENCH_DATA_DIR); rows come from the hub'}")
    if folder and not Path(folder).is_dir():
        yield f"PEFTBENCH_DATA_DIR names {folder}, which is not a folder"


def _programs() -> None:
    """Not a problem for those who run no programs."""
    from peftbench.evaluation.sandbox import Bubblewrap, unavailable

    reason = unavailable()
    said = f"cannot be run: {reason}" if reason else f"run in a {Bubblewrap().description}"
    say(f"programs that a model writes: {said}")
