"""Adapters on perturbed sets: evaluation only, and the same now or later."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from peftbench.engine.rescore_perturbed import PerturbedRescoring, rescore_perturbed
from peftbench.engine.robustness import evaluate_kept, outstanding, plan_of

from peftbench import api
from peftbench.engine.worker import Bench, Job
from peftbench.errors import DataError, InvalidSpec, ModelError, OutOfMemory
from peftbench.evaluation.predict import Predictor
from peftbench.evaluation.scores import PerturbedScores
from peftbench.planning.plan import Plan, make_plan
from peftbench.spec import from_mapping
from peftbench.store import Evaluation, Store
from peftbench.store._files import sha256
from peftbench.tasks import mnli
from peftbench.tasks.perturbations import hans

ROWS = [
    {
        "premise": f"Dog {i} runs in park {i}.",
        "hypothesis": f"Dog {i} {verb}.",
        "label": label,
    }
    for i in range(20)
    for label, verb in enumerate(("runs", "is brown", "sleeps"))
]


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MNLI in a few made-up rows, with two of its perturbed sets."""
    folder = tmp_path_factory.mktemp("data")
    parts = {
        "mnli/train": ROWS[:36], "mnli/validation": ROWS[36:42], "mnli/test": ROWS[42:],
        "robustness/anli_r1": [{**row, "premise": "A dog runs."} for row in ROWS[:9]],
        "robustness/hans": [{**row, "label": row["label"] % 2} for row in ROWS[:10]],
    }  # fmt: skip
    for name, rows in parts.items():
        path = folder / f"{name}.jsonl"
        path.parent.mkdir(exist_ok=True)
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def plan(data_dir: Path, **changes: Any) -> Plan:
    spec = {
        "name": "robust",
        "models": ["tiny"],
        "methods": ["base", {"name": "lora", "training": {"learning_rate": 0.01}}],
        "tasks": ["mnli"],
        "seeds": [1],
        "training": {"steps": 3, "batch_size": 4, "validations": 1, "max_length": 128},
        **changes,
    }
    return make_plan(from_mapping(spec), data_dir)


def work(made: Plan, folder: Path) -> Store:
    """What a worker does, in this process."""
    store = Store.open(folder)
    Bench(Job(made, folder, threads=1), store).work([one.cell.id for one in made.cells])
    return store


def outcomes(
    store: Store, made: Plan
) -> dict[tuple[str, str], tuple[PerturbedScores, Any]]:
    """Scores and predictions by method and set."""
    labels = {planned.cell.id: planned.label for planned in made.cells}
    found = {}
    for cell_id, evaluations in store.evaluations.by_cell(labels).items():
        for one in evaluations:
            table = store.evaluations.predictions(one)
            assert one.comparison is not None
            assert table is not None
            found[labels[cell_id], one.test_set.name] = (one.comparison, table.to_pylist())
    return found


@pytest.fixture(scope="module")
def together(
    data_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Plan, Store]:
    """Scored right after training; no adapter is kept."""
    made = plan(data_dir, robust=True)
    return made, work(made, tmp_path_factory.mktemp("together"))


@pytest.fixture(scope="module")
def later(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Plan, Store]:
    """Trained without a thought of robustness, adapters kept; scored afterwards."""
    made = plan(data_dir, keep_adapters=True)
    store = work(made, tmp_path_factory.mktemp("later"))
    api.remember(made, store, "test")
    before = store.records()
    asked = plan_of(store.benchmarks()[0], data_dir)
    assert len(outstanding(asked, store).can_be_scored) == 2
    evaluate_kept(asked, store)
    assert store.records() == before, "records are written once"
    return asked, store


def test_every_cell_is_scored_on_every_set(together: tuple[Plan, Store]) -> None:
    made, store = together
    assert set(outcomes(store, made)) == {
        ("base", "anli_r1"), ("base", "hans"), ("lora", "anli_r1"), ("lora", "hans")
    }  # fmt: skip
    assert outstanding(made, store) == type(outstanding(made, store))((), ())
    assert made.without_rows
    assert "anli_r2" in made.without_rows


def test_later_is_the_same_as_at_once(
    together: tuple[Plan, Store], later: tuple[Plan, Store]
) -> None:
    assert outcomes(later[1], later[0]) == outcomes(together[1], together[0])


def test_robustness_changes_no_record(
    together: tuple[Plan, Store], later: tuple[Plan, Store]
) -> None:
    for cell_id, record in together[1].records().items():
        other = later[1].records()[cell_id]
        assert record.scores == other.scores
        assert record.baselines == other.baselines
        files = [
            s.folder / "cells" / cell_id / "predictions.parquet"
            for _, s in (together, later)
        ]
        assert sha256(files[0]) == sha256(files[1])


def test_scores_are_those_of_the_stored_rows(together: tuple[Plan, Store]) -> None:
    """Recounted by hand, with MNLI's maybe and no as one answer on HANS."""
    made, store = together
    found = outcomes(store, made)
    lora = next(p.cell for p in made.cells if p.label == "lora")
    table = store.predictions(lora.id)
    assert table is not None
    clean = table.to_pylist()
    for name, two_way in (("hans", True), ("anli_r1", False)):
        comparison, rows = found["lora", name]

        def read(answer: str | None, two_way: bool = two_way) -> str | None:
            return "no" if two_way and answer == "maybe" else answer

        right = [read(row["answer"]) == read(row["target"]) for row in clean]
        assert comparison.clean.value == pytest.approx(sum(right) / len(right))
        own = [row["answer"] == row["target"] for row in rows]
        assert comparison.scores[0].value == pytest.approx(sum(own) / len(own))
        targets = [row["target"] for row in rows]
        most = max(targets.count(label) for label in set(targets))
        assert comparison.constant.value == pytest.approx(most / len(targets))
        assert {row["answer"] for row in rows} <= {"yes", "no", None} | (
            set() if two_way else {"maybe"}
        )
    assert found["lora", "hans"][0].clean_constant.value == pytest.approx(2 / 3)
    assert found["lora", "anli_r1"][0].clean_constant.value == pytest.approx(1 / 3)


def test_scoring_again_by_the_same_code_changes_nothing(
    together: tuple[Plan, Store],
) -> None:
    made, store = together
    found = again(store)
    assert len(found) == len(outcomes(store, made)) == 4
    assert not any(one.is_changed or one.reason for one in found)
    assert not store.evaluations.rescored(store.records())


def test_scoring_again_by_other_code_replaces_both_sides_in_reports(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = plan(data_dir, methods=["base"], robust=True)
    store = work(made, tmp_path)
    api.remember(made, store, "test")
    [cell_id] = store.records()
    stored = store.evaluations.by_cell([cell_id])
    with monkeypatch.context() as patched:
        always = replace(mnli.TASK, read_answer=lambda _raw: "yes")
        patched.setattr(mnli, "TASK", always)
        found = {one.evaluation.test_set.name: one for one in again(store)}
        assert all(one.is_changed for one in found.values())
        assert found["hans"].new.scores[0].value == pytest.approx(0.7)  # rows of label 0
        assert found["hans"].new.clean.value == pytest.approx(1 / 3)
        assert not any(one.is_changed for one in again(store))
    assert store.evaluations.by_cell([cell_id]) == stored, "what was written once stays"
    [row] = [r for r in api.results(store).summary.robustness if r.test_set == "hans"]
    assert row.perturbed is not None
    assert row.perturbed.mean == pytest.approx(0.7)
    # Back to the code of today, whose scores are in force once more.
    assert all(one.is_changed for one in again(store))
    assert store.evaluations.in_force([cell_id]) == stored
    store.forget([cell_id])
    assert not store.evaluations.rescored([cell_id])


def test_a_set_that_is_read_anew_has_to_be_asked_anew(
    together: tuple[Plan, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hans, "PERTURBATION", replace(hans.PERTURBATION, version=2))
    found = {one.evaluation.test_set.name: one for one in again(together[1])}
    assert "peftbench robustness --store" in found["hans"].reason
    assert not found["hans"].is_changed
    assert not found["anli_r1"].reason


def again(store: Store) -> list[PerturbedRescoring]:
    return list(rescore_perturbed(store, store.records()))


def test_summary_shows_them(together: tuple[Plan, Store]) -> None:
    made, store = together
    api.remember(made, store, "test")
    rows = api.results(store).summary.robustness
    assert [(row.method, row.test_set) for row in rows] == [
        ("base", "anli_r1"), ("base", "hans"), ("lora", "anli_r1"), ("lora", "hans")
    ]  # fmt: skip
    frame = api.results(store).to_frame(all_metrics=True)
    hans_rows = frame[frame["test_set"] == "hans"]
    assert set(hans_rows["metric"]) == {"accuracy"}
    assert {"score", "clean", "drop"} <= set(hans_rows["statistic"])
    assert not hans_rows["is_headline"].any()


def test_cells_whose_adapter_is_gone_are_named(data_dir: Path, tmp_path: Path) -> None:
    store = work(plan(data_dir), tmp_path)
    asked = plan(data_dir, robust=True)
    found = outstanding(asked, store)
    assert [planned.label for planned in found.can_be_scored] == ["base"]
    assert [planned.label for planned in found.must_run_again] == ["lora"]
    evaluate_kept(asked, store)
    assert {method for method, _ in outcomes(store, asked)} == {"base"}
    assert [p.label for p in outstanding(asked, store).must_run_again] == ["lora"]


def test_limit_of_test_rows_holds_for_perturbed_ones(
    data_dir: Path, tmp_path: Path
) -> None:
    made = plan(data_dir, methods=["base"], robust=True, limits={"test": 5})
    store = work(made, tmp_path)
    assert {len(rows) for _, rows in outcomes(store, made).values()} == {5}


def test_set_that_does_not_fit_is_a_result_and_the_record_stays(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Predictor.predict

    def predict(self: Predictor, task: Any, prompts: Any, extras: Any = ()) -> Any:
        if len(prompts) == 9:  # those of anli_r1
            raise OutOfMemory("One example does not fit.")
        return real(self, task, prompts, extras)

    monkeypatch.setattr(Predictor, "predict", predict)
    made = plan(data_dir, methods=["base"], robust=True)
    store = work(made, tmp_path)
    cell = made.cells[0].cell
    assert store.records()[cell.id].status == "finished"
    by_set: dict[str, Evaluation] = {
        one.test_set.name: one for one in store.evaluations.by_cell([cell.id])[cell.id]
    }
    assert by_set["anli_r1"].error == "One example does not fit."
    assert by_set["hans"].comparison is not None


def test_broken_rows_stop_a_run_before_it_begins(data_dir: Path, tmp_path: Path) -> None:
    import shutil

    broken = tmp_path / "data"
    shutil.copytree(data_dir, broken)
    (broken / "robustness" / "hans.jsonl").write_text('{"premise": "a", "label": 1}\n')
    spec = plan(data_dir, robust=True).benchmark
    with pytest.raises(
        DataError, match=r"hans\.jsonl:1: the row has no field 'hypothesis'"
    ):
        api.run(spec, store=tmp_path / "store", data_dir=broken, measure_costs=False)
    assert Store.open(tmp_path / "store").records() == {}


def test_nothing_to_score_is_refused(data_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidSpec, match=r"no perturbed set asks what generated_mood ask"):
        plan(data_dir, tasks=["generated_mood"], robust=True)
    (tmp_path / "mnli").symlink_to(data_dir / "mnli")
    with pytest.raises(
        InvalidSpec, match=r"no rows of .*hans.*robustness/<set>\.jsonl\.gz"
    ):
        plan(tmp_path, robust=True)
    with pytest.raises(InvalidSpec, match="rules of the protocol strict"):
        plan(data_dir, robust=True, protocol="peft-bench")


def test_another_base_model_is_refused(later: tuple[Plan, Store], data_dir: Path) -> None:
    from dataclasses import replace

    stored = later[1].benchmarks()[0]
    other = [
        replace(one, cell=one.cell.model_copy(
            update={"model": one.cell.model.model_copy(update={"identity": "sha256:0"})}
        ))
        for one in stored.cells
    ]  # fmt: skip
    with pytest.raises(ModelError, match="is not the one that robust was run"):
        plan_of(replace(stored, cells=tuple(other)), data_dir)
