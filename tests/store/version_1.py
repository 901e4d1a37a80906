"""A store of version 1, as `version_1/` keeps it, made whole again.

The database is kept as SQL, so that a change of it can be read; the files beside it (Parquet
and safetensors, of which most bytes are the same in each) are one archive.
"""

from __future__ import annotations

import sqlite3
import tarfile
from contextlib import closing
from pathlib import Path

HERE = Path(__file__).parent / "version_1"

#: Made-up rows, in the layout that `--data-dir` expects.
DATA = HERE / "data"

#: What the code of version 1 says of this store: see `version_1/README.md`.
EXPECTED = HERE / "expected.json"


def unpacked(folder: Path) -> Path:
    """Make the store in `folder`, which is made if missing; returns `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(HERE / "files.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    with closing(sqlite3.connect(folder / "store.sqlite")) as connection:
        connection.executescript((HERE / "store.sql").read_text("utf-8"))
    return folder
