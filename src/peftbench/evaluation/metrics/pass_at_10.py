"""pass@10: the chance that one of 10 sampled programs passes every test."""

from __future__ import annotations

from peftbench.evaluation.metrics._pass_at_k import metric_for

METRIC = metric_for(10)
