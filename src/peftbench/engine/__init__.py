"""Where cells run: planned here, computed by worker processes of this machine."""

from __future__ import annotations

from peftbench.engine.plan import Plan, make_plan

__all__ = ["Plan", "make_plan"]
