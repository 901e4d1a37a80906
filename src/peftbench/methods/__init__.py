"""Fine-tuning methods, one file each. `names()` lists them, `get(name)` imports one."""

from __future__ import annotations

from peftbench.catalogue import Catalogue
from peftbench.methods._hook import Hook, RunContext
from peftbench.methods._method import Family, Method, PeftMethod
from peftbench.methods._pair import from_peft
from peftbench.methods._settings import fraction, linear_layers, one_of, positive, whole

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
    "fraction",
    "from_peft",
    "get",
    "linear_layers",
    "names",
    "one_of",
    "positive",
    "whole",
]
