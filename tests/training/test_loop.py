"""A group of runs: each goes its own way to its end, stops and starts included."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from peftbench.errors import Diverged
from peftbench.store import Checkpoints
from peftbench.training.loop import Member, train_group
from peftbench.training.run import Run
from peftbench.training.seeds import state_sha256

MakeRun = Callable[..., Run]


class Killed(BaseException):
    """What a killed worker would leave behind, without the process."""


def member(run: Run, **rest: Any) -> Member:
    """A member whose validation score rises with the step."""
    return Member(run, validate=lambda: float(run.progress.step), **rest)


def without_dropout(make_run: MakeRun, **settings: Any) -> Run:
    """Members share the process's random numbers; these runs draw none."""
    return make_run("lora", parameters={"rank": 2}, **settings)


def test_a_run_in_a_group_ends_as_it_ends_alone(make_run: MakeRun) -> None:
    alone = [without_dropout(make_run, seed=seed) for seed in (1, 2)]
    for run in alone:
        train_group([member(run)])
    together = [without_dropout(make_run, seed=seed) for seed in (1, 2)]
    train_group([member(run) for run in together])
    digests = [state_sha256(run.model) for run in alone]
    assert [state_sha256(run.model) for run in together] == digests
    assert digests[0] != digests[1]


def test_a_run_that_diverges_leaves_the_others_alone(make_run: MakeRun) -> None:
    good, bad = (without_dropout(make_run, seed=seed) for seed in (1, 2))
    with torch.no_grad():
        next(iter(bad.parameters.values()))[0, 0] = torch.nan
    members = [member(bad), member(good)]
    train_group(members)
    assert isinstance(members[0].failure, Diverged)
    assert members[1].failure is None
    assert (bad.progress.step, good.progress.step) == (0, 6)
    alone = without_dropout(make_run, seed=1)
    train_group([member(alone)])
    assert state_sha256(good.model) == state_sha256(alone.model)


def test_runs_of_different_lengths_all_come_to_their_end(make_run: MakeRun) -> None:
    runs = [without_dropout(make_run, steps=steps) for steps in (2, 5)]
    train_group([member(run) for run in runs])
    assert [run.progress.step for run in runs] == [2, 5]


def test_every_step_is_reported(make_run: MakeRun) -> None:
    steps: list[tuple[int, int]] = []
    train_group([member(make_run(), on_step=lambda *done: steps.append(done))])
    assert steps == [(step, 6) for step in range(1, 7)]


def test_validation_happens_in_evaluation_mode_and_training_in_training_mode(
    make_run: MakeRun,
) -> None:
    run = make_run(validations=3)
    modes: list[bool] = []

    def validate() -> float:
        modes.append(run.model.training)
        return 0.0

    original = run.gradients

    def gradients(*arguments: Any) -> float:
        assert run.model.training
        return original(*arguments)

    run.gradients = gradients  # type: ignore[method-assign,assignment]
    train_group([Member(run, validate=validate)])
    assert modes == [False] * 3


def test_the_best_state_is_in_the_model_at_the_end(make_run: MakeRun) -> None:
    run = make_run(steps=4, validations=4)
    states: list[str] = []
    scores = iter([0.1, 0.9, 0.3, 0.2])

    def validate() -> float:
        states.append(state_sha256(run.model))
        return next(scores)

    train_group([Member(run, validate=validate)])
    assert state_sha256(run.model) == states[1]


def test_patience_ends_a_run_early(make_run: MakeRun) -> None:
    run = make_run(steps=6, validations=6, patience=2)
    train_group([Member(run, validate=lambda: 0.5)])
    assert run.progress.step == 3


@pytest.mark.parametrize("killed_at", [1, 2, 3, 4, 5])
def test_a_run_that_was_killed_goes_on_as_if_it_had_not(
    killed_at: int, make_run: MakeRun, tmp_path: Path
) -> None:
    """With dropout, and killed anywhere between two checkpoints."""
    straight = make_run(validations=3)
    train_group([member(straight)])

    def stop(step: int, _steps: int) -> None:
        if step == killed_at:
            raise Killed

    checkpoints = Checkpoints(tmp_path)
    with pytest.raises(Killed):
        train_group(
            [member(make_run(validations=3), checkpoints=checkpoints, on_step=stop)]
        )
    resumed = make_run(validations=3)
    torch.manual_seed(12345)
    if killed_at < 2:  # before the first checkpoint: from the start, seed and all
        resumed = make_run(validations=3)
    train_group([member(resumed, checkpoints=checkpoints)])
    assert resumed.progress.resumed == (killed_at >= 2)
    assert state_sha256(resumed.model) == state_sha256(straight.model)
    assert resumed.progress.validations == straight.progress.validations


def test_checkpoints_come_in_between_when_time_has_gone_by(
    make_run: MakeRun, tmp_path: Path
) -> None:
    steps: list[int] = []

    class Noting(Checkpoints):
        def save(self, step: int, write: Callable[[Path], None]) -> None:
            steps.append(step)
            super().save(step, write)

    run = make_run(validations=1)
    train_group([member(run, checkpoints=Noting(tmp_path / "a"))], checkpoint_seconds=0)
    assert steps == [1, 2, 3, 4, 5]  # the last step needs none: the run is over
    steps.clear()
    train_group([member(make_run(validations=3), checkpoints=Noting(tmp_path / "b"))])
    assert steps == [2, 4]


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "state.safetensors").write_bytes(
            (folder / "state.safetensors").read_bytes()[:-40]
        ),
        lambda folder: (folder / "progress.json").write_text(
            (folder / "progress.json").read_text().replace('"step": 4', '"step": 5')
        ),
        lambda folder: (folder / "state.safetensors").unlink(),
        lambda folder: (folder / "manifest.json").write_text("{"),
        lambda folder: (folder / "extra").touch(),
    ],
)
def test_a_damaged_checkpoint_is_not_used_and_the_one_before_is(
    damage: Callable[[Path], None], make_run: MakeRun, tmp_path: Path
) -> None:
    def stop(step: int, _steps: int) -> None:
        if step == 5:
            raise Killed

    straight = make_run(validations=3)
    train_group([member(straight)])
    checkpoints = Checkpoints(tmp_path)
    with pytest.raises(Killed):
        train_group(
            [member(make_run(validations=3), checkpoints=checkpoints, on_step=stop)]
        )
    newest = checkpoints.latest()
    assert newest is not None
    assert json.loads((newest / "progress.json").read_text())["step"] == 4
    damage(newest)
    resumed = make_run(validations=3)
    first: list[int] = []
    train_group(
        [
            member(
                resumed, checkpoints=checkpoints, on_step=lambda step, _: first.append(step)
            )
        ]
    )
    assert first[0] == 3, "it should go on from the checkpoint of step 2"
    assert state_sha256(resumed.model) == state_sha256(straight.model)


def test_with_all_checkpoints_damaged_a_run_starts_anew(
    make_run: MakeRun, tmp_path: Path
) -> None:
    checkpoints = Checkpoints(tmp_path)
    run = make_run(validations=3)
    train_group([member(run, checkpoints=checkpoints)])
    damaged = list(tmp_path.glob("*/step-*"))
    assert damaged
    for folder in damaged:
        (folder / "state.safetensors").write_bytes(b"")
    again = make_run(validations=3)
    train_group([member(again, checkpoints=checkpoints)])
    assert again.progress.resumed == 0
    assert state_sha256(again.model) == state_sha256(run.model)
