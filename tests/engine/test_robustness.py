"""Adapters on perturbed sets: evaluation only, and the same now or later."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from in_process import kinds, work, workers_in_process
from peftbench.api import Experiment
from peftbench.engine.regrade import Regraded
from peftbench.errors import DataError, InvalidSpec, ModelError, OutOfMemory
from peftbench.evaluation.predict import Predictor
from peftbench.evaluation.scores import PerturbedScores
from peftbench.store import Evaluation, Store
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


SETS = ("anli_r1", "hans")


def experiment(folder: Path, data_dir: Path, **changes: Any) -> Experiment:
    spec = {
        "name": "robust",
        "models": ["tiny"],
        "methods": ["base", {"name": "lora", "training": {"learning_rate": 0.01}}],
        "tasks": ["mnli"],
        "seeds": [1],
        "training": {"steps": 3, "batch_size": 4, "validations": 1, "max_length": 128},
        **changes,
    }
    return Experiment(spec, store=folder, data_dir=data_dir)


def run(asked: Experiment) -> Experiment:
    """Run in this process; the same experiment."""
    with workers_in_process():
        asked.run(measure_costs=False)
    return asked


def look_again(asked: Experiment) -> list[str]:
    """As `peftbench robustness`; the labels of those that cannot be asked."""
    asked.with_robustness()
    with workers_in_process():
        return [one.label for one in asked.look_again()]


def evaluations(asked: Experiment) -> dict[tuple[str, str], Evaluation]:
    """By method and set."""
    return {
        (planned.label, one.test_set.name): one
        for planned, record in asked.ended()
        for one in record.evaluations
    }


def outcomes(asked: Experiment) -> dict[tuple[str, str], tuple[PerturbedScores, Any]]:
    """Scores and predictions by method and set."""
    found = {}
    for planned, record in asked.ended():
        by_set = {one.test_set.name: one for one in planned.predicts}
        for one in record.evaluations:
            table = asked.store.predictions(by_set[one.test_set.name].id)
            assert one.comparison is not None
            assert table is not None
            found[planned.label, one.test_set.name] = (one.comparison, table.to_pylist())
    return found


@pytest.fixture(scope="module")
def together(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    """Scored right after training."""
    return run(experiment(tmp_path_factory.mktemp("together"), data_dir, robust=True))


@pytest.fixture(scope="module")
def later(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    """Trained without a thought of robustness; scored afterwards."""
    folder = tmp_path_factory.mktemp("later")
    with run(experiment(folder, data_dir)) as first:
        before = {one.cell.id: record for one, record in first.ended()}
        steps = first.store.results.step_ids()
    asked = Experiment.open(folder, data_dir=data_dir)
    assert look_again(asked) == []
    assert Counter(kinds(asked.store, steps)) == {"predict": 4, "grade": 4}
    for one, record in asked.ended():
        same = record.model_copy(update={"evaluations": ()})
        assert same == before[one.cell.id], "what was written once stays"
    return asked


def test_every_cell_is_scored_on_every_set(together: Experiment) -> None:
    assert set(outcomes(together)) == {
        (method, name) for method in ("base", "lora") for name in SETS
    }
    assert together.missing() == []
    assert together.plan.without_rows
    assert "anli_r2" in together.plan.without_rows


def test_later_is_the_same_as_at_once(together: Experiment, later: Experiment) -> None:
    assert outcomes(later) == outcomes(together)


def test_robustness_changes_nothing_else_of_a_record(
    together: Experiment, later: Experiment
) -> None:
    others = {one.cell.id: record for one, record in later.ended()}
    for planned, record in together.ended():
        other = others[planned.cell.id]
        assert record.scores == other.scores
        assert record.baselines == other.baselines
        digests = [
            one.store.results.by_id([planned.cell.id])[planned.cell.id].digests
            for one in (together, later)
        ]
        assert digests[0] == digests[1]


def test_scores_are_those_of_the_stored_rows(together: Experiment) -> None:
    """Recounted by hand, with MNLI's maybe and no as one answer on HANS."""
    found = outcomes(together)
    table = together.store.predictions(together.cell("lora/mnli/1").cell.id)
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


def again(asked: Experiment) -> dict[str, Regraded]:
    """Everything graded by today's code, by test set."""
    return {one.test_set: one for one in asked.rescore()}


def test_scoring_again_by_the_same_code_changes_nothing(together: Experiment) -> None:
    before = together.store.results.step_ids()
    found = together.rescore()
    assert len(found) == len(outcomes(together)) + 2 == 6
    assert not any(one.is_changed or one.reason for one in found)
    assert together.store.results.step_ids() == before


def test_scoring_again_by_other_code_replaces_both_sides_in_reports(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = run(experiment(tmp_path, data_dir, methods=["base"], robust=True))
    stored = evaluations(asked)
    with monkeypatch.context() as patched:
        always = replace(mnli.TASK, read_answer=lambda _raw: "yes")
        patched.setattr(mnli, "TASK", always)
        # Another scorer is told by its source, which a test does not edit.
        patched.setattr(
            "peftbench.planning.wanted.scorer_digest", lambda *_a, **_m: "1" * 64
        )
        found = again(asked)
        assert all(one.is_changed for one in found.values())
        scores = {(one.test_set, one.metric): one.value for one in found["hans"].new}
        assert scores["hans", "accuracy"] == pytest.approx(0.7)  # rows of label 0
        assert scores["test", "accuracy"] == pytest.approx(1 / 3)
        assert not any(one.is_changed for one in asked.rescore())
    [row] = [r for r in asked.results().summary.robustness if r.test_set == "hans"]
    assert row.perturbed is not None
    assert row.perturbed.mean == pytest.approx(0.7)
    # The grade of old is still there, beside the new one.
    hans_step = asked.plan.cells[0].predicts[2]
    assert hans_step.test_set.name == "hans"
    graded = asked.store.results.looking_at([hans_step.id], "grade")[hans_step.id]
    assert len(graded) == 2
    assert graded[0].outcome.perturbed == stored["base", "hans"].comparison  # type: ignore[union-attr]
    # Another edit, which makes it read as at first: those scores are in force once more.
    monkeypatch.setattr(
        "peftbench.planning.wanted.scorer_digest", lambda *_a, **_m: "2" * 64
    )
    assert all(one.is_changed for one in asked.rescore())
    assert evaluations(asked) == stored
    asked.forget(asked.plan.cells)
    assert asked.store.results.step_ids() == [], "all its answers and grades"


def test_going_back_to_the_scorer_of_old_puts_its_scores_in_force_again(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = run(experiment(tmp_path, data_dir, methods=["base"], robust=True))
    stored = evaluations(asked)
    with monkeypatch.context() as patched:
        always = replace(mnli.TASK, read_answer=lambda _raw: "yes")
        patched.setattr(mnli, "TASK", always)
        patched.setattr(
            "peftbench.planning.wanted.scorer_digest", lambda *_a, **_m: "1" * 64
        )
        assert all(one.is_changed for one in asked.rescore())
    assert evaluations(asked) != stored
    assert all(one.is_changed for one in asked.rescore())
    assert evaluations(asked) == stored
    assert not any(one.is_changed for one in asked.rescore())


def test_a_set_that_is_read_anew_has_to_be_asked_anew(
    together: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hans, "PERTURBATION", replace(hans.PERTURBATION, version=2))
    found = again(together)
    assert "`peftbench robustness`" in found["hans"].reason
    assert not found["hans"].is_changed
    assert not found["anli_r1"].reason
    assert not found["test"].reason


def test_summary_shows_them(together: Experiment) -> None:
    rows = together.results().summary.robustness
    assert [(row.method, row.test_set) for row in rows] == [
        ("base", "anli_r1"), ("base", "hans"), ("lora", "anli_r1"), ("lora", "hans")
    ]  # fmt: skip
    frame = together.results().to_frame(all_metrics=True)
    hans_rows = frame[frame["test_set"] == "hans"]
    assert set(hans_rows["metric"]) == {"accuracy"}
    assert {"score", "clean", "drop"} <= set(hans_rows["statistic"])
    assert not hans_rows["is_headline"].any()


def test_robust_asked_for_later_adds_its_steps_alone(
    data_dir: Path, tmp_path: Path, together: Experiment
) -> None:
    with run(experiment(tmp_path, data_dir)) as first:
        before = first.store.results.step_ids()
    asked = run(experiment(tmp_path, data_dir, robust=True))
    assert Counter(kinds(asked.store, before)) == {"predict": 4, "grade": 4}
    assert outcomes(asked) == outcomes(together)


def test_cells_whose_adapter_is_gone_are_named_and_made_again_by_a_run(
    data_dir: Path, tmp_path: Path, together: Experiment
) -> None:
    asked = run(experiment(tmp_path, data_dir))
    asked.store.results.free(asked.store.results.of_kind("train"))
    before = asked.store.results.step_ids()
    assert look_again(asked) == ["lora"]
    assert {method for method, _ in evaluations(asked)} == {"base"}
    assert "train" not in kinds(asked.store, before)
    assert look_again(asked) == ["lora"]
    asked.close()
    full = run(experiment(tmp_path, data_dir, robust=True))
    assert outcomes(full) == outcomes(together)


def test_limit_of_test_rows_holds_for_perturbed_ones(
    data_dir: Path, tmp_path: Path
) -> None:
    asked = experiment(
        tmp_path, data_dir, methods=["base"], robust=True, limits={"test": 5}
    )
    assert {len(rows) for _, rows in outcomes(run(asked)).values()} == {5}


@pytest.mark.parametrize("method", ["base", "lora"])
def test_set_that_does_not_fit_is_a_result_and_takes_nothing_from_the_rest(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    real = Predictor.predict

    def predict(self: Predictor, task: Any, prompts: Any, extras: Any = ()) -> Any:
        if len(prompts) == 9:  # those of anli_r1
            raise OutOfMemory("One example does not fit.")
        return real(self, task, prompts, extras)

    asked = experiment(tmp_path, data_dir, methods=[method], robust=True)
    with monkeypatch.context() as patched:
        patched.setattr(Predictor, "predict", predict)
        run(asked)
    [(planned, record)] = asked.ended()
    assert record.status == "finished"
    assert record.headline is not None
    by_set = {one.test_set.name: one for one in record.evaluations}
    assert by_set["anli_r1"].error == "One example does not fit."
    assert by_set["anli_r1"].comparison is None
    assert by_set["hans"].comparison is not None
    assert asked.missing() == [], "a failure is a result"
    before = asked.store.results.step_ids()
    failed = next(one for one in planned.predicts if one.test_set.name == "anli_r1")
    asked.store.results.forget([failed.id])
    work(asked.plan, asked.store)
    assert sorted(kinds(asked.store, before)) == ["grade"]
    assert evaluations(asked)[method, "anli_r1"].comparison is not None


@pytest.mark.parametrize("method", ["base", "lora"])
def test_retry_forgets_all_answers_of_a_cell(
    together: Experiment, data_dir: Path, tmp_path: Path, method: str
) -> None:
    shutil.copytree(together.folder, tmp_path / "store")
    with experiment(tmp_path / "store", data_dir, robust=True) as asked:
        before = outcomes(asked)
        asked.forget([one for one in asked.plan.cells if one.label == method])
        assert {label for label, _ in outcomes(asked)} == {"base", "lora"} - {method}
        assert len(asked.missing()) == 1
        work(asked.plan, asked.store)
        assert outcomes(asked) == before


def test_broken_rows_stop_a_run_before_it_begins(data_dir: Path, tmp_path: Path) -> None:
    broken = tmp_path / "data"
    shutil.copytree(data_dir, broken)
    (broken / "robustness" / "hans.jsonl").write_text('{"premise": "a", "label": 1}\n')
    asked = experiment(tmp_path / "store", broken, robust=True)
    with pytest.raises(
        DataError, match=r"hans\.jsonl:1: the row has no field 'hypothesis'"
    ):
        run(asked)
    assert Store.open(tmp_path / "store").results.step_ids() == []


def test_nothing_to_score_is_refused(data_dir: Path, tmp_path: Path) -> None:
    def asked(folder: Path, **changes: Any) -> object:
        return experiment(tmp_path / "store", folder, robust=True, **changes).plan

    with pytest.raises(InvalidSpec, match=r"no perturbed set asks what generated_mood ask"):
        asked(data_dir, tasks=["generated_mood"])
    (tmp_path / "mnli").symlink_to(data_dir / "mnli")
    with pytest.raises(
        InvalidSpec, match=r"no rows of .*hans.*robustness/<set>\.jsonl\.gz"
    ):
        asked(tmp_path)
    with pytest.raises(InvalidSpec, match="rules of the protocol strict"):
        asked(data_dir, protocol="peft-bench")


def test_another_base_model_is_refused(later: Experiment, data_dir: Path) -> None:
    [stored] = later.store.benchmarks()
    other = tuple(
        one.model_copy(update={"cell": one.cell.model_copy(
            update={"model": one.cell.model.model_copy(update={"identity": "sha256:0"})}
        )})
        for one in stored.cells
    )  # fmt: skip
    asked = Experiment.open(later.folder, data_dir=data_dir)
    asked._stored = replace(stored, cells=other)
    with pytest.raises(ModelError, match="is not the one that robust was run"):
        _ = asked.plan
