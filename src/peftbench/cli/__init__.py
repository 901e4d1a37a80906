"""The command line, one file per command. Arguments in, one call out."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

#: What a system says of a path that somebody gave.
_OF_A_PATH = (
    errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.EACCES,
)  # fmt: skip


def main() -> None:
    """Run the command line; errors meant for the user end with exit code 2."""
    from peftbench.cli._app import app
    from peftbench.cli._say import say
    from peftbench.errors import InvalidSpec, PeftbenchError

    try:
        for what in (*sys.argv, str(Path.cwd()), os.environ.get("PEFTBENCH_DATA_DIR", "")):
            if not _can_be_written(what):
                raise InvalidSpec(
                    f"{what} is not UTF-8: give the file or folder another name."
                )
        app()
    except PeftbenchError as error:
        said = str(error)
    except OSError as error:
        if error.filename is None or error.errno not in _OF_A_PATH:
            raise
        said = f"{error.filename}: {error.strerror}. Give another path."
    else:
        return
    say(f"peftbench: {said}", is_aside=True)
    raise SystemExit(2)


def _can_be_written(text: str) -> bool:
    """Whether it is text; other bytes of a path stand in it as halves of characters."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
