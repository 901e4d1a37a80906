"""Fair tuning: as many trials for every method, chosen on validation, found again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import optuna
import pytest

from peftbench.errors import InvalidSpec
from peftbench.planning.plan import Plan, make_plan
from peftbench.scoring.tuning import expected_best
from peftbench.search.tuning import (
    TuningSource,
    median_bounds,
    space_of,
    studies,
    suggest,
    with_settings,
)
from peftbench.spec import Cell, Train, from_mapping
from peftbench.store import PlannedCell, Store, Trained, TrialResult, Work
from peftbench.store.planned import best_trial
from peftbench.training.validation import Validation

Score = Callable[[Train], float | None]

TASKS = ("generated_mood", "generated_sums")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "store") as opened:
        yield opened


class Worker:
    """Stands for those who train: every run gets a score, and is written down."""

    def __init__(self, store: Store, score: Score) -> None:
        self.store = store
        self.score = score
        self.runs: list[Train] = []

    def do(self, work: Work) -> None:
        """One piece of work, up to its adapter."""
        train = work.train
        if train is None or self.store.results.status([train.id]):
            return
        self.runs.append(train)
        score = self.score(train)
        looks = (
            () if score is None
            else (Validation(step=1, epoch=1.0, train_loss=1.0, score=score),)
        )  # fmt: skip
        status = "diverged" if score is None else "finished"
        outcome = Trained(status=status, validations=looks, best_step=1)
        self.store.results.commit(None, train, outcome)

    @property
    def trials(self) -> list[Train]:
        """The runs with the seed of trials."""
        return [one for one in self.runs if one.seed == 0]


def tune(made: Plan, worker: Worker) -> Plan:
    """All of a search, and the runs with what it chose."""
    source = TuningSource(made, worker.store)
    while (works := source.ask()) is not None:
        for one in works:
            worker.do(one)
    return source.settled()


def plan(methods: Sequence[Any] = ("base", "lora", "ia3"), **tuning: Any) -> Plan:
    return make_plan(
        from_mapping(
            {
                "name": "tuned",
                "models": ["tiny"],
                "methods": list(methods),
                "tasks": list(TASKS),
                "seeds": [1, 2],
                "training": {"steps": 2, "validations": 1},
                "tuning": {"trials": 5, **tuning},
            }
        )
    )


def rate(one: Train | Cell) -> float:
    assert one.training is not None
    return one.training.learning_rate


def near(best: float) -> Score:
    """A score that is the higher the nearer the learning rate is to `best`."""
    return lambda train: 1 / (1 + abs(rate(train) - best))


def test_every_method_gets_the_same_number_of_trials_and_base_none(store: Store) -> None:
    worker = Worker(store, near(0.001))
    tune(plan(), worker)
    counts: dict[tuple[str, str], int] = {}
    for train in worker.trials:
        place = train.method.name, train.task.name
        counts[place] = counts.get(place, 0) + 1
    assert counts == {(method, task): 5 for method in ("lora", "ia3") for task in TASKS}


def test_the_final_runs_have_the_best_setting_and_the_whole_curve(store: Store) -> None:
    worker = Worker(store, near(0.001))
    made = tune(plan(), worker)
    for planned in made.cells:
        if planned.label == "base":
            assert planned.trials == ()
            continue
        assert [trial.number for trial in planned.trials] == [0, 1, 2, 3, 4]
        best = max(planned.trials, key=lambda trial: trial.score or 0.0)
        assert rate(planned.cell) == best.settings["learning_rate"]
    assert {p.cell.seed for p in made.cells if p.label == "lora"} == {1, 2}
    finals = {one.id for one in worker.runs if one.seed != 0}
    assert finals == {p.cell.train.id for p in made.cells if p.cell.train}


def test_the_first_trial_is_the_default_so_that_tuning_never_loses_on_validation(
    store: Store,
) -> None:
    made = tune(plan(), Worker(store, near(0.001)))
    untuned = {p.label: p.cell for p in plan().cells}
    for planned in made.cells:
        if untuned[planned.label].training is not None:
            first = planned.trials[0]
            assert first.settings["learning_rate"] == rate(untuned[planned.label])


def test_asked_again_it_runs_nothing_and_chooses_the_same(store: Store) -> None:
    worker = Worker(store, near(0.01))
    first = tune(plan(), worker)
    runs = len(worker.runs)
    again = tune(plan(), worker)
    assert len(worker.runs) == runs
    assert again.cells == first.cells


class Interrupted(Exception):
    """The run was ended from outside."""


def test_an_interrupted_search_goes_on_where_it_was(store: Store, tmp_path: Path) -> None:
    """Its state is the ledger's: another process finds the same."""
    whole = Worker(store, near(0.01))
    expected = tune(plan(), whole)

    class Broken(Worker):
        def do(self, work: Work) -> None:
            if len(self.runs) == 7:
                raise Interrupted
            super().do(work)

    with Store.open(tmp_path / "broken") as other:
        broken = Broken(other, near(0.01))
        with pytest.raises(Interrupted):
            tune(plan(), broken)
        goes_on = Worker(other, near(0.01))
        found = tune(plan(), goes_on)
        assert found.cells == expected.cells
        assert len(broken.runs) + len(goes_on.runs) == len(whole.runs)


def test_no_search_waits_for_another(store: Store) -> None:
    """One whose runs are done at once has ended before another's first trial has."""
    made = plan(methods=["lora", "ia3"], trials=3)
    worker, source = Worker(store, near(0.001)), TuningSource(made, store)
    slow: list[Work] = []
    finals = []
    for _ in range(6):
        works = source.ask()
        assert works is not None
        for one in works:
            assert one.train is not None
            if one.train.method.name == "lora":
                slow.append(one)
                continue
            worker.do(one)
            finals += [look.predict.test_set.name for look in one.looks]
    assert len(slow) == 2, "the first trial on each task, and no more of it is asked"
    assert len(worker.trials) == 2 * 3
    assert finals == ["test"] * 4, "the final runs of ia3: two tasks, two seeds"
    settled = source.settled()
    assert {len(p.trials) for p in settled.cells if p.label == "ia3"} == {3}
    assert {len(p.trials) for p in settled.cells if p.label == "lora"} == {0}


def test_what_is_not_tuned_is_wanted_at_once(store: Store) -> None:
    source = TuningSource(plan(), store)
    works = source.ask()
    assert works is not None
    bare = [one for one in works if one.train is None]
    assert [one.looks[0].predict.task.name for one in bare] == list(TASKS)
    again = source.ask()
    assert again == [], "all was asked for, and nothing is done"


def test_a_trial_that_is_a_final_run_is_done_once(store: Store) -> None:
    worker = Worker(store, near(0.001))
    made = tune(plan(methods=["lora"], seed=1), worker)
    finals = {p.cell.train.id for p in made.cells if p.cell.train}
    trials = {step for p in made.cells for trial in p.trials for step in trial.runs}
    shared = finals & trials
    assert len(shared) == 2, "of the tuning's seed, one for each task"
    assert len(worker.runs) == len(finals | trials)
    assert len(worker.runs) == 2 * 5 + 2 * 1


def test_a_trial_that_was_forgotten_meanwhile_is_wanted_again(store: Store) -> None:
    source = TuningSource(plan(("lora",), trials=2), store)
    first = source.ask()
    assert first
    assert source.ask() == [], "it is being done"
    assert source.ask(is_idle=True) == first, "nobody does it any more"


def test_names_of_trials_tell_method_task_and_number(store: Store) -> None:
    worker, source = Worker(store, near(0.001)), TuningSource(plan(per="method"), store)
    first = source.ask()
    assert first is not None
    trials = [one for one in first if one.train is not None]
    worker.do(trials[0])
    rest = [source.names[one.unit] for one in trials]
    assert sorted(rest) == sorted(
        f"tiny · {method} · {task} · trial 0"
        for method in ("lora", "ia3")
        for task in TASKS
    )
    for one in trials[1:]:
        worker.do(one)
    second = source.ask()
    assert second is not None
    assert all(source.names[one.unit].endswith("trial 1") for one in second)


def test_the_same_method_under_two_labels_is_searched_once_for_both(store: Store) -> None:
    worker = Worker(store, near(0.001))
    made = tune(plan(methods=["lora", {"name": "lora", "label": "same"}]), worker)
    assert len(worker.trials) == 2 * 5
    by_label: dict[str, list[PlannedCell]] = {}
    for planned in made.cells:
        assert len(planned.trials) == 5
        by_label.setdefault(planned.label, []).append(planned)
    one, other = by_label["lora"], by_label["same"]
    assert [p.cell.id for p in one] == [p.cell.id for p in other]


def test_one_setting_for_all_tasks_is_chosen_by_their_mean(store: Store) -> None:
    def score(train: Train) -> float:
        best = 0.001 if train.task.name == "generated_mood" else 0.003
        return -abs(rate(train) - best)

    made = tune(plan(per="method"), Worker(store, score))
    by_method: dict[str, set[float]] = {}
    for planned in made.cells:
        if planned.cell.training is not None:
            by_method.setdefault(planned.label, set()).add(rate(planned.cell))
            assert all(len(trial.runs) == 2 for trial in planned.trials)
    assert {len(rates) for rates in by_method.values()} == {1}


def test_a_setting_that_diverges_is_not_chosen_and_the_search_goes_on(
    store: Store,
) -> None:
    def score(train: Train) -> float | None:
        return None if rate(train) > 2e-4 and train.method.name == "lora" else rate(train)

    made = tune(plan(), Worker(store, score))
    for planned in made.cells:
        if planned.label == "lora":
            assert rate(planned.cell) <= 2e-4
            assert len(planned.trials) == 5


def test_the_search_is_optunas_and_gets_near_the_best(store: Store) -> None:
    made = tune(plan(methods=["lora"], trials=25), Worker(store, near(0.0011)))
    assert rate(made.cells[0].cell) == pytest.approx(0.0011, rel=0.4)


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
        TrialResult(number=i, settings={"learning_rate": 1e-4 * (i + 1)}, score=i, runs=())
        for i in range(6)
    ]
    assert suggest(study, tried) == suggest(study, list(tried))
    assert suggest(study, tried) != suggest(study, tried[:5])


SUGGEST = """
import json, sys
from peftbench.planning.plan import make_plan
from peftbench.search.tuning import studies, suggest
from peftbench.spec import from_mapping
from peftbench.store import TrialResult
spec, tried = json.load(sys.stdin)
plan = make_plan(from_mapping(spec))
tried = [TrialResult.model_validate(one) for one in tried]
print(json.dumps([suggest(study, tried) for study in studies(plan)]))
"""


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_another_process_suggests_the_same(sampler: str) -> None:
    made = plan(sampler=sampler)
    tried = [
        TrialResult(
            number=i, settings={"learning_rate": 1e-4 * (i + 1)}, score=i, runs=("0" * 64,)
        )
        for i in range(6)
    ]
    here = [suggest(study, tried) for study in studies(made)]
    asked = [
        made.benchmark.model_dump(mode="json", exclude_unset=True),
        [one.model_dump(mode="json") for one in tried],
    ]
    done = subprocess.run(
        [sys.executable, "-c", SUGGEST],
        input=json.dumps(asked),
        env=os.environ | {"PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == here
    assert len({one["learning_rate"] for one in here}) == len(here), "each search its own"


def test_of_equal_trials_the_first_is_chosen_and_the_default_where_none_has_a_score() -> (
    None
):
    def trial(number: int, score: float | None) -> TrialResult:
        return TrialResult(number=number, settings={}, score=score, runs=())

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
    bounds = median_bounds(curves, validations=3)
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
    assert median_bounds(curves[:3], validations=3) == (None, None, None)
