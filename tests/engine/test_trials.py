"""Trials as they are run: given up, gone on with, shared with final runs, forgotten."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from in_process import TINY, kinds, missing, plan, work
from peftbench.api import Experiment
from peftbench.planning.plan import Plan
from peftbench.planning.wanted import work_on
from peftbench.spec import Trial
from peftbench.store import Store, Trained, Tried, Work
from peftbench.training.run import Run

TRAINING = {**TINY["training"], "steps": 6, "validations": 3}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "store") as opened:
        yield opened


def three_looks() -> Plan:
    return plan(training=TRAINING)


def trial(made: Plan, *bounds: float | None) -> Work:
    """A trial of the plan's one run with these bounds."""
    asked = work_on(made.cells[0].cell, ())
    assert asked.train is not None
    return asked.model_copy(update={"trial": Trial(train=asked.train, stop_below=bounds)})


def tried(store: Store) -> Tried:
    [one] = store.results.of_kind("trial")
    assert isinstance(one.outcome, Tried)
    return one.outcome


def test_a_trial_that_falls_behind_is_given_up_and_is_no_run(store: Store) -> None:
    made = three_looks()
    work(made, store, [trial(made, None, 2.0, None)])
    assert kinds(store) == ["trial"]
    assert tried(store).is_pruned
    assert [look.step for look in tried(store).validations] == [2, 4]
    assert tried(store).status == "finished"
    assert len(missing(made, store)) == 1, "the run itself is still to be done"
    work(made, store, [trial(made, None, 2.0, None)])
    assert kinds(store) == ["trial"], "a trial is done once"


def test_a_run_that_was_given_up_goes_on_when_it_is_wanted_whole(
    store: Store, tmp_path: Path
) -> None:
    made = three_looks()
    work(made, store, [trial(made, None, 2.0, None)])
    work(made, store)
    assert kinds(store) == ["trial", "train", "predict", "grade"]
    [found] = store.results.of_kind("train")
    assert isinstance(found.outcome, Trained)
    assert found.outcome.manifest is not None
    assert found.outcome.manifest.resumed == 1, "from where it was given up"
    with Store.open(tmp_path / "whole") as other:
        work(made, other)
        [whole] = other.results.of_kind("train")
    assert isinstance(whole.outcome, Trained)
    assert found.digests == whole.digests
    assert found.outcome.numbers == whole.outcome.numbers
    assert found.outcome.validations[:2] == tried(store).validations
    assert not (store.folder / "checkpoints" / found.step.id).exists()


def test_a_trial_that_holds_out_is_the_run_itself(store: Store) -> None:
    made = three_looks()
    work(made, store, [trial(made, None, -1.0, -1.0)])
    assert kinds(store) == ["train", "trial"]
    [run] = store.results.of_kind("train")
    assert isinstance(run.outcome, Trained)
    assert tried(store).validations == run.outcome.validations
    assert tried(store).best_step == run.outcome.best_step
    assert not tried(store).is_pruned
    before = store.results.step_ids()
    work(made, store)
    assert kinds(store, before) == ["predict", "grade"]


@pytest.mark.parametrize("bound", [2.0, -1.0])
def test_a_trial_of_a_run_that_is_done_trains_nothing(
    store: Store, monkeypatch: pytest.MonkeyPatch, bound: float
) -> None:
    """And ends as it would have ended, had it been run with these bounds."""
    made = three_looks()
    work(made, store)

    def step(self: Run) -> None:
        raise AssertionError("it trains")

    monkeypatch.setattr(Run, "step", step)
    work(made, store, [trial(made, None, bound, None)])
    assert tried(store).is_pruned == (bound == 2.0)
    assert len(tried(store).validations) == (2 if bound == 2.0 else 3)


def experiment(folder: Path, **changes: Any) -> Experiment:
    spec = {**TINY, "methods": ["base", "bitfit"], "tuning": {"trials": 3}, **changes}
    return Experiment(spec, store=folder)


@pytest.mark.usefixtures("no_processes")
def test_a_tuned_benchmark_can_be_forgotten_before_and_after_it_is_run(
    tmp_path: Path,
) -> None:
    with experiment(tmp_path / "store") as asked:
        assert asked.forget_all() == 0, "there is nothing"
        asked.run(measure_costs=False)
        done = kinds(asked.store)
        assert sorted(done) == [*["grade"] * 2, *["predict"] * 2, *["train"] * 4]
        cells = {one.label: one for one in asked._cells()}
        assert [t.number for t in cells["bitfit"].trials] == [0, 1, 2]
        assert cells["base"].trials == ()
        assert set(asked.cells()["status"]) == {"finished"}
        asked.run(measure_costs=False)
        assert kinds(asked.store) == done, "run again, it does nothing"
        assert asked.forget_all() == 2
        assert asked.store.results.step_ids() == []
        asked.run(measure_costs=False)
        assert sorted(kinds(asked.store)) == sorted(done)


@pytest.mark.usefixtures("no_processes")
def test_a_final_run_with_the_seed_of_the_trials_is_one_of_them(tmp_path: Path) -> None:
    with experiment(
        tmp_path / "store", methods=["bitfit"], tuning={"trials": 2, "seed": 1}
    ) as asked:
        asked.run(measure_costs=False)
        assert sorted(kinds(asked.store)) == ["grade", "predict", "train", "train"]
        [planned] = asked._cells()
        assert planned.cell.train is not None
        assert planned.cell.train.id in [step for t in planned.trials for step in t.runs]


@pytest.mark.usefixtures("no_processes")
def test_an_interrupted_run_with_tuning_goes_on_from_the_ledger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with experiment(tmp_path / "whole", methods=["bitfit"]) as whole:
        whole.run(measure_costs=False)
        expected = whole._cells()
        steps = sorted(whole.store.results.step_ids())
    real, count = Run.step, 0

    def step(self: Run) -> None:
        nonlocal count
        count += 1
        if count == 8:  # in the third trial
            raise KeyboardInterrupt
        real(self)

    with (
        monkeypatch.context() as patched,
        experiment(tmp_path / "broken", methods=["bitfit"]) as broken,
    ):
        patched.setattr(Run, "step", step)
        with pytest.raises(KeyboardInterrupt):
            broken.run(measure_costs=False)
        assert kinds(broken.store) == ["train", "train"]
        [half] = broken._cells()
        assert len(half.trials) == 2, "what is known is remembered"
    with experiment(tmp_path / "broken", methods=["bitfit"]) as again:
        again.run(measure_costs=False)
        assert again._cells() == expected
        assert sorted(again.store.results.step_ids()) == steps
