"""Checkpoints of a run: atomic, verified, the last two kept."""

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
    """The checkpoints of one run, in one folder."""

    folder: Path
    keep: int = 2
    on_save: Callable[[], None] = lambda: None

    def save(self, step: int, write: Callable[[Path], None]) -> None:
        """Let `write` fill a folder, seal it with digests, and give it its name."""
        with explained(self.folder.parent):
            temporary = self.folder / "unfinished"
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir(parents=True)
            write(temporary)
            write_manifest(temporary)
            publish(temporary, self.folder / f"step-{step:08d}")
            for old in self._all()[: -self.keep]:
                shutil.rmtree(old)
        self.on_save()

    def latest(self) -> Path | None:
        """The newest checkpoint that is whole; damaged ones are passed over, aloud."""
        for folder in reversed(self._all()):
            if is_whole(folder):
                return folder
            log.warning("%s is damaged and not used; going back to the one before.", folder)
        return None

    def clear(self) -> None:
        """Remove all of them."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _all(self) -> list[Path]:
        return sorted(self.folder.glob("step-*"))
