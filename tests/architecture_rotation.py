"""Which methods are tried on which architectures, and in which precisions, today.

All pairs take minutes, and hardly ever does one break alone. So a commit tries every method on
`AT_ONCE` architectures, and on one in 16 bits; the next commit on the next ones, and those whose
file the commit changes on all of them; `make nightly` tries all pairs. PEFTBENCH_ROTATION says it
instead: a whole number, or `all`.
"""

from __future__ import annotations

import os
import subprocess
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

#: Architectures on which a method is tried at each commit.
AT_ONCE = 2

_ROOT = Path(__file__).parents[1]
_METHODS = "src/peftbench/methods/"


@dataclass(frozen=True)
class Rotation:
    """Which pairs are tried. A `position` of None: all of them."""

    position: int | None
    source: str
    changed: frozenset[str] = frozenset()
    """Names of methods that are tried on all architectures whatever the position."""

    @classmethod
    def today(cls) -> Rotation:
        """What PEFTBENCH_ROTATION says, else the commit, else the first."""
        if said := os.environ.get("PEFTBENCH_ROTATION"):
            if said == "all":
                return cls(None, "PEFTBENCH_ROTATION")
            return cls(int(said), "PEFTBENCH_ROTATION")
        # Commits are counted, not hashed: so those that follow each other take turns.
        if not (count := _git("rev-list", "--count", "HEAD").strip()):
            return cls(0, "no commit here")
        files = _git("diff", "--name-only", "HEAD~1", "--", _METHODS)
        files += _git("ls-files", "--others", "--exclude-standard", "--", _METHODS)
        changed = {Path(f).stem for f in files.splitlines() if f.endswith(".py")}
        names = frozenset(f.replace("_", "-") for f in changed if f[0] != "_")
        return cls(int(count), f"{count} commits", names)

    def chosen(
        self, name: str, architectures: Sequence[str], at_once: int = AT_ONCE
    ) -> list[str]:
        """The architectures, in their own order, on which this method is tried."""
        if self.position is None or name in self.changed:
            return list(architectures)
        # A hash, so that each commit tries every architecture with some methods.
        start = zlib.crc32(name.encode()) + self.position * at_once
        places = {(start + step) % len(architectures) for step in range(at_once)}
        return [architectures[place] for place in sorted(places)]

    def __str__(self) -> str:
        if self.position is None:
            return f"every method on all architectures ({self.source})"
        also = f", {', '.join(sorted(self.changed))} on all" if self.changed else ""
        return (
            f"every method on {AT_ONCE}{also}: rotation {self.position} ({self.source}). "
            f"PEFTBENCH_ROTATION={self.position} repeats it, PEFTBENCH_ROTATION=all tries all"
        )


def _git(*arguments: str) -> str:
    """What git prints in this repository; nothing where it cannot."""
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=_ROOT, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout
