"""F1a: F1 of the positive class over all proposed answers of all questions (MultiRC)."""

from __future__ import annotations

from peftbench.evaluation.metrics import f1
from peftbench.evaluation.metrics._metric import Metric

#: Questions of a passage stand or fall together: the error is over passages.
METRIC = Metric(
    score=f1.score, unit="F1", lowest=0.0, highest=1.0, leave_out="group", needs=("groups",)
)
