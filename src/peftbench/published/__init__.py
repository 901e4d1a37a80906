"""Published results that ship with the package, as facts with their source."""

from __future__ import annotations

from peftbench.published._file import Published, names, read
from peftbench.published._summary import summary_of

__all__ = ["Published", "names", "read", "summary_of"]
