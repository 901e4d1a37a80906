"""pass@5: the chance that one of 5 sampled programs passes every test."""

from __future__ import annotations

from peftbench.evaluation.metrics._pass_at_k import metric_for

METRIC = metric_for(5)
