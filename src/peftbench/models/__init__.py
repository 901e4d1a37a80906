"""Base models: which bytes a name stands for, and loading them."""

from __future__ import annotations

from peftbench.models._shapes import Linear, Shapes
from peftbench.models._source import ModelSource, names, resolve

__all__ = ["Linear", "ModelSource", "Shapes", "names", "resolve"]
