"""Which files of this machine an interpreter needs: itself, its library, shared objects."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

#: Extension modules for screens, terminals and networks: their many libraries stay outside.
_LEFT_OUT = ("_tkinter", "_curses", "readline", "nis", "_dbm", "_gdbm", "_ssl", "_sqlite3")
_FOUND = re.compile(r"(?:=>\s*)?(/\S+)\s+\(0x")


@dataclass(frozen=True)
class Interpreter:
    """The Python that runs peftbench, without the packages of its environment."""

    executable: Path
    library: Path  # the standard library
    shared: tuple[Path, ...]  # shared objects, where the loader looks for them
    hidden: tuple[Path, ...]  # folders of installed packages inside the library

    @property
    def paths(self) -> tuple[Path, ...]:
        """All that has to be readable inside."""
        return (self.executable, self.library, *self.shared)


def base_executable() -> Path:
    """The interpreter of this process, whatever environment it was started from."""
    return Path(os.path.realpath(getattr(sys, "_base_executable", sys.executable)))


@lru_cache
def this_interpreter() -> Interpreter:
    """The base interpreter with all that it needs."""
    executable = base_executable()
    library = Path(sysconfig.get_path("stdlib")).resolve()
    modules = [
        path
        for path in sorted((library / "lib-dynload").glob("*.so"))
        if not path.name.startswith(_LEFT_OUT)
    ]
    return Interpreter(
        executable=executable,
        library=library,
        shared=_shared_objects((executable, *modules)),
        hidden=tuple(
            folder
            for name in ("site-packages", "dist-packages")
            if (folder := library / name).is_dir()
        ),
    )


def _shared_objects(binaries: tuple[Path, ...]) -> tuple[Path, ...]:
    """Every shared object that one of `binaries` loads, the loader itself included."""
    ldd = shutil.which("ldd", path=f"{os.environ.get('PATH', '')}:{os.defpath}")
    if ldd is None:
        return ()  # the first program then does not start, and says what it lacks
    said = subprocess.run(
        [ldd, *map(str, binaries)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={"PATH": os.defpath},
    ).stdout
    found = {Path(os.path.normpath(path)) for path in _FOUND.findall(said)}
    # glibc loads it when a thread ends, so that nothing names it before.
    found |= {
        unwinder
        for path in found
        if path.name.startswith("libc.so")
        and (unwinder := path.with_name("libgcc_s.so.1")).is_file()
    }
    return tuple(sorted(found))
