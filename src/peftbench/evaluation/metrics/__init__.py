"""Metrics, one file each. `names()` lists them, `get(name)` imports one."""

from __future__ import annotations

from peftbench.catalogue import Catalogue
from peftbench.evaluation.metrics._metric import Answers, Metric

CATALOGUE: Catalogue[Metric] = Catalogue("metric", __name__, "METRIC")
names = CATALOGUE.names
get = CATALOGUE.get

__all__ = ["CATALOGUE", "Answers", "Metric", "get", "names"]
