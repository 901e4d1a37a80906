"""What an answer that ignores the prompt scores, as it stands in a cell's record."""

from __future__ import annotations

import json
from pathlib import Path

from in_process import plan, work
from peftbench.evaluation.scores import Baseline
from peftbench.store import Record, Store


def base_on(task: str, rows: list[dict[str, object]], folder: Path) -> Record:
    """The record of the bare base model; the same rows are in every split."""
    for split in ("train", "validation", "test"):
        path = folder / "data" / task / f"{split}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    made = plan(folder / "data", methods=["base"], tasks=[task], limits={})
    with Store.open(folder / "store") as store:
        work(made, store)
        [record] = store.records(made.cells).values()
    return record


def test_where_the_majority_class_scores_zero_the_best_label_is_named(
    tmp_path: Path,
) -> None:
    rows: list[dict[str, object]] = [
        {
            "paragraph": f"Story {i}.",
            "question": "Who?",
            "answer": f"someone {i}",
            "idx": {"paragraph": i, "question": i, "answer": i},
            "label": int(i % 3 == 0),
        }
        for i in range(9)
    ]
    assert base_on("multirc", rows, tmp_path).baselines == (
        Baseline(name="majority class", answer="no", value=0.0),
        Baseline(name="best label", answer="yes", value=0.5),  # F1 of 1/3 and 1
    )


def test_where_the_majority_class_is_the_best_label_it_stands_alone(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"sentence": f"film {i}", "label": int(i % 3 > 0), "idx": i} for i in range(9)
    ]
    [baseline] = base_on("sst2", rows, tmp_path).baselines
    assert baseline.name == "majority class"
    assert baseline.value == 6 / 9
