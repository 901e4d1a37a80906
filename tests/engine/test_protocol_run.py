"""One task by two protocols, through a whole run: other prompts, other scores, one store."""

from __future__ import annotations

import json

import pytest

import peftbench
from in_process import workers_in_process
from peftbench.api import Experiment
from peftbench.errors import InvalidSpec
from peftbench.results import results

ROWS = [
    ("Mia opened the new bridge on Friday.", "A bridge was opened.", 0),
    ("Sam sells bread and fish.", "Sam sells no fish.", 1),
    ("The clock in the hall is slow.", "The hall has a clock.", 0),
    ("Ada found a ring in the garden.", "The ring was made of gold.", 1),
]


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    """Run by the published protocol, and in its store planned by ours."""
    folder = tmp_path_factory.mktemp("protocols")
    (folder / "data" / "rte").mkdir(parents=True)
    for split, rows in (("train", ROWS), ("validation", ROWS[:2]), ("test", ROWS)):
        lines = (
            json.dumps({"sentence1": f"{split}: {a}", "sentence2": b, "label": label})
            for a, b, label in rows
        )
        (folder / "data" / "rte" / f"{split}.jsonl").write_text("\n".join(lines), "utf-8")
    asked = {
        "models": ["tiny"],
        "methods": ["base"],
        "tasks": ["rte"],
        "seeds": [1],
        "training": {"max_length": 128},
    }
    places = {"store": folder / "store", "data_dir": folder / "data"}
    spec = {"name": "published", "protocol": "peft-bench", **asked}
    experiment = Experiment(spec, **places)
    with workers_in_process():
        experiment.run(measure_costs=False)
    strict = Experiment({"name": "strict", **asked}, **places)
    strict._remember(strict.plan)
    return experiment


def test_a_run_asks_and_scores_as_its_protocol_says(published: Experiment) -> None:
    [(planned, record)] = published.ended()
    assert (record.status, record.cell.protocol) == ("finished", "peft-bench")
    assert [score.metric for score in record.scores] == [
        "peft_bench_f1", "peft_bench_em", "format_error_rate", "likelihood_accuracy",
    ]  # fmt: skip
    table = published.store.predictions(planned.cell.id)
    assert table is not None
    assert "\ntest: Mia opened" in table.column("prompt").to_pylist()[0]
    assert set(table.column("target").to_pylist()) == {"entailment", "not_entailment"}
    [again] = published.rescore()
    assert (again.is_changed, again.reason) == (False, "")


def test_the_same_task_by_another_protocol_is_another_cell(published: Experiment) -> None:
    store = published.store
    cells = {one.name: one.cells[0].cell for one in store.benchmarks()}
    assert cells["strict"].task.name == cells["published"].task.name
    assert cells["strict"].id != cells["published"].id
    for name, protocol in (("strict", "strict"), ("published", "peft-bench")):
        assert results(store, name).summary.protocol == protocol


def test_a_benchmark_of_both_is_refused_by_the_report(published: Experiment) -> None:
    store = published.store
    cells = [cell for one in store.benchmarks() for cell in one.cells]
    store.add_benchmark("both", origin="test", spec={}, cells=cells)
    with pytest.raises(InvalidSpec, match=r"do not share a table"):
        results(store, "both")


def test_a_task_that_the_protocol_lacks_is_refused_before_anything_runs() -> None:
    with pytest.raises(InvalidSpec, match=r"does not cover the task 'generated_sums'"):
        peftbench.run(
            {
                "name": "x",
                "models": ["tiny"],
                "methods": ["base"],
                "tasks": ["generated_sums"],
                "protocol": "peft-bench",
            }
        )


def test_an_imports_protocol_cannot_be_run() -> None:
    with pytest.raises(
        InvalidSpec, match=r"protocol: input should be 'strict' or 'peft-bench'"
    ):
        peftbench.run(
            {
                "name": "x",
                "models": ["tiny"],
                "methods": ["base"],
                "tasks": ["rte"],
                "protocol": "hf-method-comparison",
            }
        )
