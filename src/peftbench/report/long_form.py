"""The scores as CSV in long form: one row per model, method, task, seed and metric."""

from __future__ import annotations

import csv
import io

from peftbench.scoring.summarise import ROW_FIELDS, to_rows
from peftbench.scoring.summary import Summary


def to_csv(summary: Summary) -> str:
    """RFC 4180 text; numbers at full precision."""
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, ROW_FIELDS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(to_rows(summary))
    return out.getvalue()
