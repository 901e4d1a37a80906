"""Base models: which bytes a name stands for, and loading them."""

from __future__ import annotations

from peftbench.models._described import Described, ModelFacts, describe, shipped
from peftbench.models._shapes import Linear, Shapes
from peftbench.models._source import ModelSource, names, resolve

__all__ = [
    "Described",
    "Linear",
    "ModelFacts",
    "ModelSource",
    "Shapes",
    "describe",
    "names",
    "resolve",
    "shipped",
]
