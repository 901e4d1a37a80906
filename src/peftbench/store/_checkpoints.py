"""Checkpoints of a run: atomic, verified, the last two kept, each holder's in its own folder."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from peftbench.store._files import explained, is_whole, publish, write_manifest

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of one run, in one folder.

    A holder writes under its own `token` and reads those of all since the `fence`: one that
    lost its lease without noticing can neither overwrite nor delete the lawful holder's.
    """

    folder: Path
    token: int = 0
    fence: int = 0
    """Those under lower tokens were forgotten, also what came after that."""
    keep: int = 2
    on_save: Callable[[], None] = lambda: None

    def save(self, step: int, write: Callable[[Path], None]) -> None:
        """Let `write` fill a folder, seal it with digests, and give it its name."""
        own = self.folder / f"{self.token}"
        with explained(self.folder.parent):
            temporary = own / "unfinished"
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir(parents=True)
            write(temporary)
            write_manifest(temporary)
            publish(temporary, own / f"step-{step:08d}")
            for old in sorted(own.glob("step-*"))[: -self.keep]:
                shutil.rmtree(old)
        self.on_save()
        self._sweep()

    def latest(self) -> Path | None:
        """The newest checkpoint that is whole; damaged ones are passed over, aloud."""
        found = sorted(
            (path for path in self.folder.glob("*/step-*") if self._counts(path.parent)),
            key=lambda path: (path.name, int(path.parent.name)),
        )
        for folder in reversed(found):
            if is_whole(folder):
                return folder
            log.warning("%s is damaged and not used; going back to the one before.", folder)
        return None

    def clear(self) -> None:
        """Remove all of them."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _counts(self, holder: Path) -> bool:
        return holder.name.isdigit() and int(holder.name) >= self.fence

    def _sweep(self) -> None:
        """Remove those of earlier holders: this one has got as far and further."""
        for other in self.folder.iterdir():
            if other.name.isdigit() and int(other.name) < self.token:
                shutil.rmtree(other, ignore_errors=True)
