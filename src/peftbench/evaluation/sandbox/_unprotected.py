"""A Python program as a plain subprocess: for those who ask for it, and know why."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from peftbench.evaluation.sandbox._process import (
    DEFAULT,
    Limits,
    Program,
    Result,
    guest_arguments,
    program_text,
    sealed,
    watch,
)
from peftbench.evaluation.sandbox._python import base_executable


@dataclass(frozen=True)
class Unprotected:
    """Runs programs with limits on time, memory, file size and output, and nothing else:
    they can read and write what their user can, and reach the network."""

    description: ClassVar[str] = "no sandbox (--unsafe-run-code)"
    is_safe: ClassVar[bool] = False

    def run(self, program: Program, stdin: str = "", limits: Limits = DEFAULT) -> Result:
        """As `Runner.run`."""
        # The limit on threads counts all of a user's, so here it would hit the innocent.
        limits = replace(limits, threads=0)
        with ExitStack() as stack:
            text = stack.enter_context(sealed("program", program_text(program)))
            read = stdin.encode("utf-8", "replace")
            stdin_fd = stack.enter_context(sealed("stdin", read))
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="peftbench-"))
            return watch(
                [str(base_executable()), *guest_arguments(text, program, limits)],
                stdin_fd=stdin_fd,
                pass_fds=(text,),
                limits=limits,
                cwd=Path(folder),
                environment={},
            )
