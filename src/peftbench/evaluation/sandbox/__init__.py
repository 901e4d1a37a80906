"""A place where programs that a model wrote can do no harm.

`Bubblewrap` runs one Python program at a time without network, privileges or any file of
this machine but the interpreter's own; docs/code-execution.md says what is kept from it and
how. `Unprotected` runs it as a plain subprocess, and only where a user asked for that.
"""

from __future__ import annotations

from peftbench.evaluation.sandbox._bubblewrap import INSTALL, Bubblewrap, unavailable
from peftbench.evaluation.sandbox._process import Limits, Program, Result, Runner
from peftbench.evaluation.sandbox._unprotected import Unprotected

__all__ = [
    "INSTALL",
    "Bubblewrap",
    "Limits",
    "Program",
    "Result",
    "Runner",
    "Unprotected",
    "unavailable",
]
