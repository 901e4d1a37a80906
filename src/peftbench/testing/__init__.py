"""Tiny models, and the checks that every method and every store must pass, other people's too."""

from __future__ import annotations

from peftbench.testing.architectures import works_on
from peftbench.testing.conformance import CHECKS, Finding, check_method
from peftbench.testing.facts import states_what_it_is
from peftbench.testing.models import TINY_MODELS, tiny_llama
from peftbench.testing.stores import STORE_CHECKS, check_store

__all__ = [
    "CHECKS",
    "STORE_CHECKS",
    "TINY_MODELS",
    "Finding",
    "check_method",
    "check_store",
    "states_what_it_is",
    "tiny_llama",
    "works_on",
]
