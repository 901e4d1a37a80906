"""All that wants a GPU to be known, in one command of a few minutes.

    python -m benchmarks.gpu
    python -m benchmarks.gpu --parts costs,recipe --out FOLDER
    python -m benchmarks.gpu --toy

Every part writes FOLDER/gpu-PART.json as soon as it is done, and one that is there is not done
again: what was cut off goes on. `--toy` is the same at the size of a CPU, to try the program.
The parts are the modules beside this file; each has `run(size)`.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import time
import traceback
from pathlib import Path

from benchmarks.gpu.size import Size

from peftbench.manifest import git_state, now, packages, system

PARTS = (
    "ceilings", "repeatable", "costs", "predicted", "recipe", "workers", "methods", "kill", "suite",
)  # fmt: skip
RESULTS = Path(__file__).parents[1] / "results"


def main(arguments: list[str] | None = None) -> int:
    """Run the parts that are asked for; 1 if one of them failed."""
    options = _parser().parse_args(arguments)
    parts = [part for part in options.parts.split(",") if part]
    if unknown := set(parts) - set(PARTS):
        sys.exit(
            f"no such parts: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}"
        )
    options.out.mkdir(parents=True, exist_ok=True)
    with Size.of(
        options.out, toy=options.toy, methods=options.methods, workers=options.workers
    ) as size:
        return max([_do(part, size, options.out) for part in parts], default=0)


def _do(part: str, size: Size, folder: Path) -> int:
    file = folder / f"gpu-{part}.json"
    if file.is_file():
        print(f"{part}: {file} is there")
        return 0
    start = time.monotonic()
    try:
        found = importlib.import_module(f"benchmarks.gpu.{part}").run(size)
    except Exception:  # the other parts are still worth having
        traceback.print_exc()
        print(f"{part}: failed")
        return 1
    seconds = round(time.monotonic() - start, 1)
    commit, is_dirty = git_state()
    about = {
        "part": part,
        "made_at": now(),
        "seconds": seconds,
        "device": size.device_name,
        "toy": size.is_toy,
        "commit": commit,
        "uncommitted_changes": is_dirty,
        "platform": system(),
        "packages": packages(),
    }
    partial = file.with_suffix(".partial")
    partial.write_text(json.dumps(about | {"found": found}, indent=1) + "\n", "utf-8")
    partial.rename(file)
    print(f"{part}: {seconds} s, {file}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu")
    parser.add_argument("--parts", default=",".join(PARTS), help=f"of {', '.join(PARTS)}")
    parser.add_argument("--methods", default="", help="of the part `methods`; default: all")
    parser.add_argument(
        "--out", type=Path, default=RESULTS, help="default: benchmarks/results"
    )
    parser.add_argument("--workers", default="1,2,4,8", help="of the part `workers`")
    parser.add_argument("--toy", action="store_true", help="at the size of a CPU")
    return parser


if __name__ == "__main__":
    sys.exit(main())
