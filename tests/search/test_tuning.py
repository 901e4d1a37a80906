"""Fair tuning: as many trials for every method, chosen on validation, found again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import optuna
import pytest
from peftbench.engine.plan import Plan, make_plan
from peftbench.engine.tuning import space_of, studies, suggest, tune, with_settings

from peftbench.errors import InvalidSpec
from peftbench.manifest import Manifest
from peftbench.scoring.tuning import best_trial, expected_best, median_bounds
from peftbench.spec import Cell, from_mapping
from peftbench.store import PlannedCell, Record, TrialResult
from peftbench.training.validation import Validation

MANIFEST = Manifest(
    started_at="", finished_at="", host="", platform="", device="", threads=1, packages={},
    git_commit=None, git_dirty=None, initial_adapter_sha256=None, chat_template=False,
)  # fmt: skip

Score = Callable[[Cell], float | None]


class Results:
    """Stands for a store: the records of what was run, and how often anything was."""

    def __init__(self, score: Score) -> None:
        self.score = score
        self.found: dict[str, Record] = {}
        self.runs: list[Cell] = []

    def records(self, cell_ids: Iterable[str]) -> dict[str, Record]:
        return {i: self.found[i] for i in cell_ids if i in self.found}

    def run(self, planned: Sequence[PlannedCell]) -> None:
        for one in planned:
            self.runs.append(one.cell)
            score = self.score(one.cell)
            looks = (
                () if score is None
                else (Validation(step=1, epoch=1.0, train_loss=1.0, score=score),)
            )  # fmt: skip
            self.found[one.cell.id] = Record(
                cell=one.cell,
                status="diverged" if score is None else "finished",
                manifest=MANIFEST,
                validations=looks,
                best_step=1,
            )


def plan(**tuning: Any) -> Plan:
    return make_plan(
        from_mapping(
            {
                "name": "tuned",
                "models": ["tiny"],
                "methods": ["base", "lora", "ia3"],
                "tasks": ["generated_mood", "generated_sums"],
                "seeds": [1, 2],
                "training": {"steps": 2, "validations": 1},
                "tuning": {"trials": 5, **tuning},
            }
        )
    )


def near(best: float) -> Score:
    """A score that is the higher the nearer the learning rate is to `best`."""

    def score(cell: Cell) -> float:
        assert cell.training is not None
        return 1 / (1 + abs(cell.training.learning_rate - best))

    return score


def test_every_method_gets_the_same_number_of_trials_and_base_none() -> None:
    results = Results(near(0.001))
    tune(plan(), results, results.run)  # type: ignore[arg-type]
    counts: dict[tuple[str, str], int] = {}
    for cell in results.runs:
        place = cell.method.name, cell.task.name
        counts[place] = counts.get(place, 0) + 1
        assert cell.trial is not None
        assert cell.seed == 0
    assert counts == {
        (method, task): 5
        for method in ("lora", "ia3")
        for task in ("generated_mood", "generated_sums")
    }


def test_the_final_runs_have_the_best_setting_and_the_whole_curve() -> None:
    results = Results(near(0.001))
    made = tune(plan(), results, results.run)  # type: ignore[arg-type]
    for planned in made.cells:
        if planned.label == "base":
            assert planned.cell.tuned is None
            continue
        trials = made.trials[planned.cell.id]
        assert [trial.number for trial in trials] == [0, 1, 2, 3, 4]
        best = max(trials, key=lambda trial: trial.score or 0.0)
        assert planned.cell.training is not None
        assert planned.cell.training.learning_rate == best.settings["learning_rate"]
        assert planned.cell.trial is None
        assert planned.cell.tuned
    assert {p.cell.seed for p in made.cells if p.label == "lora"} == {1, 2}


def test_the_first_trial_is_the_default_so_that_tuning_never_loses_on_validation() -> None:
    results = Results(near(0.001))
    made = tune(plan(), results, results.run)  # type: ignore[arg-type]
    untuned = {p.label: p.cell.training for p in plan().cells}
    for planned in made.cells:
        if (training := untuned[planned.label]) is not None:
            first = made.trials[planned.cell.id][0]
            assert first.settings["learning_rate"] == training.learning_rate


def test_asked_again_it_runs_nothing_and_chooses_the_same() -> None:
    results = Results(near(0.01))
    first = tune(plan(), results, results.run)  # type: ignore[arg-type]
    runs = len(results.runs)
    again = tune(plan(), results, results.run)  # type: ignore[arg-type]
    assert len(results.runs) == runs
    assert [p.cell.id for p in again.cells] == [p.cell.id for p in first.cells]
    assert again.trials == first.trials


def test_an_interrupted_search_goes_on_where_it_was() -> None:
    whole = Results(near(0.01))
    expected = tune(plan(), whole, whole.run)  # type: ignore[arg-type]
    broken = Results(near(0.01))

    def run_until_it_breaks(planned: Sequence[PlannedCell]) -> None:
        for one in planned:
            if len(broken.runs) == 7:
                raise KeyboardInterrupt
            broken.run([one])

    with pytest.raises(KeyboardInterrupt):
        tune(plan(), broken, run_until_it_breaks)  # type: ignore[arg-type]
    found = tune(plan(), broken, broken.run)  # type: ignore[arg-type]
    assert [p.cell.id for p in found.cells] == [p.cell.id for p in expected.cells]
    assert len(broken.runs) == len(whole.runs)


def test_one_setting_for_all_tasks_is_chosen_by_their_mean() -> None:
    def score(cell: Cell) -> float:
        assert cell.training is not None
        best = 0.001 if cell.task.name == "generated_mood" else 0.003
        return -abs(cell.training.learning_rate - best)

    results = Results(score)
    made = tune(plan(per="method"), results, results.run)  # type: ignore[arg-type]
    by_method: dict[str, set[float]] = {}
    for planned in made.cells:
        if planned.cell.training is not None:
            rate = planned.cell.training.learning_rate
            by_method.setdefault(planned.label, set()).add(rate)
            assert all(len(trial.cells) == 2 for trial in made.trials[planned.cell.id])
    assert {len(rates) for rates in by_method.values()} == {1}


def test_a_setting_that_diverges_is_not_chosen_and_the_search_goes_on() -> None:
    def score(cell: Cell) -> float | None:
        assert cell.training is not None
        rate = cell.training.learning_rate
        return None if rate > 2e-4 and cell.method.name == "lora" else rate

    results = Results(score)
    made = tune(plan(), results, results.run)  # type: ignore[arg-type]
    for planned in made.cells:
        if planned.label == "lora":
            assert planned.cell.training is not None
            assert planned.cell.training.learning_rate <= 2e-4
            assert len(made.trials[planned.cell.id]) == 5


def test_the_search_is_optunas_and_gets_near_the_best() -> None:
    results = Results(near(0.0011))
    made = tune(plan(trials=25), results, results.run)  # type: ignore[arg-type]
    lora = next(p.cell for p in made.cells if p.label == "lora")
    assert lora.training is not None
    assert lora.training.learning_rate == pytest.approx(0.0011, rel=0.4)


def test_a_space_of_ones_own_may_name_settings_of_methods() -> None:
    asked = {"learning_rate": {"low": 1e-4, "high": 1e-2}, "rank": [2, 4]}
    spec = plan(space=asked).benchmark.tuning
    assert spec is not None
    cells = {p.label: p.cell for p in plan().cells}
    assert set(space_of(cells["lora"], spec)) == {"learning_rate", "rank"}
    assert set(space_of(cells["ia3"], spec)) == {"learning_rate"}
    changed = with_settings(cells["lora"], {"learning_rate": 0.002, "rank": 4})
    assert changed.method.parameters["rank"] == 4
    assert changed.training is not None
    assert changed.training.learning_rate == 0.002


def test_a_space_that_fits_no_setting_is_refused() -> None:
    spec = plan(space={"rnak": [2, 4]}).benchmark.tuning
    assert spec is not None
    with pytest.raises(InvalidSpec, match=r"names rnak, and lora has none"):
        space_of(plan().cells[1].cell, spec)
    with pytest.raises(InvalidSpec, match="low must be below high"):
        plan(space={"learning_rate": {"low": 1, "high": 0.1}})


def test_suggestions_depend_on_the_history_alone() -> None:
    study = studies(plan())[0]
    tried = [
        TrialResult(number=i, settings={"learning_rate": 1e-4 * (i + 1)}, score=i, cells=())
        for i in range(6)
    ]
    assert suggest(study, tried) == suggest(study, list(tried))
    assert suggest(study, tried) != suggest(study, tried[:5])


def test_of_equal_trials_the_first_is_chosen_and_the_default_where_none_has_a_score() -> (
    None
):
    def trial(number: int, score: float | None) -> TrialResult:
        return TrialResult(number=number, settings={}, score=score, cells=())

    assert (
        best_trial([trial(0, 0.5), trial(1, 0.7), trial(2, 0.7)], higher=True).number == 1
    )
    assert best_trial([trial(0, 0.5), trial(1, 0.3)], higher=False).number == 1
    assert best_trial([trial(0, None), trial(1, None)], higher=True).number == 0


def test_expected_best_is_the_mean_over_all_draws() -> None:
    scores = [0.2, 0.9, 0.5]
    pairs = [max(a, b) for a in scores for b in scores]
    found = expected_best(scores)
    assert found[0] == pytest.approx(sum(scores) / 3)
    assert found[1] == pytest.approx(sum(pairs) / 9)
    assert expected_best(scores, higher=False)[1] == pytest.approx(
        sum(min(a, b) for a in scores for b in scores) / 9
    )


def test_bounds_prune_what_optunas_median_pruner_prunes() -> None:
    curves = [[0.1, 0.5, 0.6], [0.3, 0.4, 0.9], [0.2, 0.3, 0.3], [0.4, 0.8, 0.8]]
    bounds = median_bounds(curves, looks=3)
    pruner = optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=0)
    for own in ([0.05, 0.1, 0.1], [0.35, 0.1, 0.1], [0.3, 0.45, 0.5]):
        search = optuna.create_study(direction="maximize", pruner=pruner)
        for curve in curves:
            search.add_trial(
                optuna.trial.create_trial(
                    value=curve[-1], intermediate_values=dict(enumerate(curve))
                )
            )
        trial = search.ask()
        for look, score in enumerate(own):
            trial.report(score, look)
            bound = bounds[look]
            assert bound is not None
            assert trial.should_prune() == (max(own[: look + 1]) < bound)
    assert median_bounds(curves[:3], looks=3) == (None, None, None)
