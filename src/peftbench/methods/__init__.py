"""Fine-tuning methods, one file each. `names()` lists them, `get(name)` imports one."""

from __future__ import annotations

from peftbench.catalogue import Catalogue
from peftbench.methods._hook import Hook, RunContext
from peftbench.methods._method import Family, Method, PeftMethod
from peftbench.methods._pair import from_peft

CATALOGUE: Catalogue[type[Method]] = Catalogue("method", __name__, "METHOD", separator="-")
names = CATALOGUE.names
get = CATALOGUE.get

__all__ = [
    "CATALOGUE",
    "Family",
    "Hook",
    "Method",
    "PeftMethod",
    "RunContext",
    "from_peft",
    "get",
    "names",
]
