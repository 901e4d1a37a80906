"""Files that are whole or absent: temporary name, fsync, rename."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from peftbench.errors import StoreError

#: The last file written into a checkpoint: digests of all others.
MANIFEST = "manifest.json"


def sha256(path: Path) -> str:
    """Digest of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@dataclass(frozen=True)
class FileFacts:
    """What is known of a stored file."""

    sha256: str
    bytes: int
    is_freed: bool = False


def facts_of(folder: Path) -> dict[str, FileFacts]:
    """Every file below a folder, by its path there."""
    return {
        path.relative_to(folder).as_posix(): FileFacts(sha256(path), path.stat().st_size)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path != folder / MANIFEST
    }


def digests(folder: Path) -> dict[str, str]:
    """Digest of every file below a folder, by its path there."""
    return {path: one.sha256 for path, one in facts_of(folder).items()}


def sync_folder(folder: Path) -> None:
    """Make every file below a folder, and the folder itself, survive a power cut."""
    for path in [*folder.rglob("*"), folder]:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def publish(temporary: Path, final: Path) -> None:
    """Move a finished folder to its name, replacing what a crash left there."""
    sync_folder(temporary)
    final.parent.mkdir(parents=True, exist_ok=True)
    if final.exists():
        shutil.rmtree(final)
    temporary.replace(final)
    handle = os.open(final.parent, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_manifest(folder: Path) -> None:
    """Write the digests of all files of a folder beside them."""
    (folder / MANIFEST).write_text(json.dumps(digests(folder), indent=1), "utf-8")


def is_whole(folder: Path) -> bool:
    """Whether a folder holds exactly the files that its manifest lists."""
    try:
        listed = json.loads((folder / MANIFEST).read_text("utf-8"))
        return bool(listed == digests(folder))
    except (OSError, ValueError):
        return False


#: What a system says where nothing can be written: a result of no computation.
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
_NO_WRITING = (errno.EROFS, errno.EACCES, errno.EPERM)


@contextmanager
def explained(folder: Path) -> Iterator[None]:
    """Turn the system's refusals to write into `StoreError`s that say what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_ROOM:
            free = shutil.disk_usage(folder).free / 1e6
            raise StoreError(
                f"The disk of {folder} is full ({free:.0f} MB free). What was stored "
                "before stays as it is; make room and run the same command again to go on."
            ) from error
        if error.errno in _NO_WRITING:
            raise StoreError(
                f"{folder} cannot be written ({error.strerror}). Choose another folder with "
                "--store, or ask for the permission to write there."
            ) from error
        if error.errno == errno.EIO:
            raise StoreError(
                f"The disk of {folder} fails ({error.strerror}). What was stored before may "
                "be damaged: `peftbench store check` tells. Run the same command again on "
                "another disk."
            ) from error
        raise


def refusal_behind(error: BaseException) -> OSError | None:
    """The system's refusal that another library's error is about, if it is about one.

    Some libraries keep the number, as `__cause__` or in an attribute; others, such as
    safetensors, only its words.
    """
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno in (*_NO_ROOM, errno.EROFS, errno.EIO):
            return seen
        seen = seen.__cause__ or seen.__context__
    said = str(error)
    for code in (*_NO_ROOM, errno.EROFS, errno.EIO):
        if os.strerror(code) in said or f"os error {code}" in said.lower():
            return OSError(code, os.strerror(code))
    return None
