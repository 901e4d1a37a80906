"""Commands as a user types them, in the test's own process: a process of their own spends
seconds on imports."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path
from unittest import mock

import pytest

from peftbench.cli import main


def peftbench(
    *arguments: str, cwd: Path | None = None, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """What the command says, and its exit code; nobody is there to answer its questions."""
    out, err, terminate = io.StringIO(), io.StringIO(), signal.getsignal(signal.SIGTERM)
    with (
        chdir(cwd or Path.cwd()),
        mock.patch.dict(os.environ, {"COLUMNS": "200", **(env or {})}),
        mock.patch.multiple(sys, argv=["peftbench", *arguments], stdin=io.StringIO()),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        try:
            with pytest.raises(SystemExit) as end:
                main()
        finally:
            signal.signal(signal.SIGTERM, terminate)
    code = end.value.code
    assert isinstance(code, int), "a process would print it"
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())
