"""The scores as CSV in long form: one row per model, method, task, seed, test set, metric."""

from __future__ import annotations

import csv
import io

from peftbench.evaluation.scores import TEST
from peftbench.scoring.summarise import ROW_FIELDS, to_rows
from peftbench.scoring.summary import Summary

FIELDS = (*ROW_FIELDS, "status", "reason")


def to_csv(summary: Summary) -> str:
    """Numbers at full precision; a run without a score has a row that says why.

    Text stands as it is: a label that begins with ``=`` is a formula to a spreadsheet
    that opens the file without being told that its columns are text.
    """
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, FIELDS, lineterminator="\n")
    writer.writeheader()
    for row in to_rows(summary):
        writer.writerow(row | {"status": "finished", "reason": ""})
    tasks = {task.name: task for task in summary.tasks}
    for trouble in summary.troubles:
        writer.writerow(
            {
                "benchmark": summary.name,
                "protocol": summary.protocol,
                "model": trouble.model,
                "method": trouble.method,
                "task": trouble.task,
                "seed": trouble.seed,
                "test_set": TEST,
                "metric": tasks[trouble.task].metric,
                "unit": tasks[trouble.task].unit,
                "better": tasks[trouble.task].better,
                "is_headline": True,
                "statistic": "score",
                "score": "",
                "status": trouble.status,
                "reason": trouble.reason,
            }
        )
    return out.getvalue()
