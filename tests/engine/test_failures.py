"""What goes wrong: with a step it is its result, with the system it is nobody's."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from in_process import TINY, kinds, missing, plan, work
from peftbench.api import Experiment
from peftbench.engine.adapter import AdapterRun
from peftbench.errors import Diverged, StoreError
from peftbench.evaluation import metrics
from peftbench.evaluation.predict import Predictor
from peftbench.store import Event, Store, Work
from peftbench.training.run import Run

BOTH: dict[str, Any] = {"methods": ["base", "bitfit"]}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "store") as opened:
        yield opened


def failing(error: BaseException) -> Callable[..., Any]:
    """What raises it when it is called."""

    def fail(*_arguments: Any, **_more: Any) -> Any:
        raise error

    return fail


# Of a step


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (Diverged("The loss became nan."), "diverged", "The loss became nan."),
        (RuntimeError("a bug"), "failed", "RuntimeError: a bug"),
    ],
)
def test_a_run_that_fails_ends_its_cell_with_its_reason_and_others_go_on(
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    status: str,
    said: str,
) -> None:
    made = plan(**BOTH)
    monkeypatch.setattr(Run, "step", failing(error))
    events = work(made, store)
    assert [one.what for one in events] == ["started", "finished", "started", status]
    assert kinds(store) == ["predict", "grade", "train"]
    base, tuned = [store.records(made.cells)[one.cell.id] for one in made.cells]
    assert base.status == "finished"
    assert tuned.status == status
    assert tuned.error is not None
    assert tuned.error.startswith(said)
    assert tuned.scores == ()
    assert tuned.manifest.initial_adapter_sha256 is not None, "it had been attached"
    assert missing(made, store) == [], "a failure is a result"
    assert list((store.folder / "staging").iterdir()) == []


def test_answers_that_fail_end_their_cell_and_leave_the_adapter(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = plan()
    with monkeypatch.context() as patched:
        patched.setattr(Predictor, "prompts_cut", failing(RuntimeError("a bug")))
        work(made, store)
    [record] = store.records(made.cells).values()
    assert record.status == "failed"
    assert record.error is not None
    assert "a bug" in record.error
    assert record.has_adapter
    other = plan(limits={"train": 16, "validation": 8, "test": 4})
    before = store.results.step_ids()
    work(other, store)
    assert kinds(store, before) == ["predict", "grade"]


def test_a_grade_that_fails_is_told_and_its_answers_stay(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    from peftbench.engine import unit

    made = plan(methods=["base"])
    with monkeypatch.context() as patched:
        patched.setattr(unit, "grade", failing(ValueError("The rows do not fit.")))
        work(made, store)
    [record] = store.records(made.cells).values()
    assert (record.status, record.headline) == ("failed", None)
    [planned] = made.cells
    assert store.predictions(planned.cell.id) is not None
    [graded] = store.results.of_kind("grade")
    store.results.forget([graded.step.id])
    work(made, store)
    [record] = store.records(made.cells).values()
    assert record.status == "finished"
    assert record.baselines, "chosen on the training rows, as the first time"


def test_the_next_piece_of_work_gets_a_base_that_nothing_has_touched(
    store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A run that fails half-way leaves nothing of its own behind for others."""
    made = plan(methods=["bitfit", "lora"], limits={**TINY["limits"], "test": 4})
    real = Run.step

    def step(self: Run) -> None:
        real(self)
        if self.progress.step == 2 and len(store.results.step_ids()) == 0:
            raise Diverged("The loss became nan.")

    monkeypatch.setattr(Run, "step", step)
    work(made, store)
    first, second = [store.records(made.cells)[one.cell.id] for one in made.cells]
    assert [first.status, second.status] == ["diverged", "finished"]
    alone = plan(methods=["lora"], limits={**TINY["limits"], "test": 4})
    with Store.open(tmp_path / "alone") as other:
        work(alone, other)
        [train] = other.results.of_kind("train")
        assert store.results.by_id([train.step.id])[train.step.id].digests == train.digests


def test_retry_makes_again_what_failed_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Experiment({**TINY, **BOTH, "seeds": [1, 2]}, store=tmp_path / "store") as asked:
        with monkeypatch.context() as patched:
            real = Run.step

            def step(self: Run) -> None:
                if not asked.store.results.of_kind("train"):
                    raise Diverged("The loss became nan.")
                real(self)

            patched.setattr(Run, "step", step)
            work(asked.plan, asked.store)
        ended = {one.name: record.status for one, record in asked.ended()}
        assert sorted(ended.values()) == ["diverged", "finished", "finished"]
        failed = [one for one, record in asked.ended() if record.status == "diverged"]
        asked.forget(failed)
        assert [one.name for one, _ in asked.ended()] == [
            name for name, status in ended.items() if status == "finished"
        ]
        before = asked.store.results.step_ids()
        work(asked.plan, asked.store)
        assert kinds(asked.store, before) == ["train", "predict", "grade"]
        assert {record.status for _, record in asked.ended()} == {"finished"}


# Of the system

FULL = os.strerror(errno.ENOSPC)


class SafetensorError(Exception):
    """As safetensors raises it: the number of the error is lost."""


def chained() -> Exception:
    error = RuntimeError("cannot write the file")
    error.__cause__ = OSError(errno.ENOSPC, FULL)
    return error


REFUSALS = [
    OSError(errno.ENOSPC, FULL),
    OSError(errno.EDQUOT, os.strerror(errno.EDQUOT)),
    OSError(errno.EROFS, os.strerror(errno.EROFS)),
    OSError(errno.EIO, os.strerror(errno.EIO)),
    SafetensorError(f"Error while serializing: I/O error: {FULL} (os error 28)"),
    RuntimeError(
        "[enforce fail at inline_container.cc:672] . PytorchStreamWriter: " + FULL
    ),
    chained(),
]


@pytest.mark.parametrize(
    ("error", "place"),
    [
        *((one, "train") for one in REFUSALS),
        *((REFUSALS[4], p) for p in ("save", "predict")),
    ],
)
def test_a_refusal_of_the_system_stops_the_run_and_is_no_result(
    store: Store, monkeypatch: pytest.MonkeyPatch, error: Exception, place: str
) -> None:
    made = plan(**BOTH) if place == "predict" else plan()
    target: tuple[Any, str] = {
        "train": (Run, "step"),
        "save": (AdapterRun, "_sign"),
        "predict": (Predictor, "predict"),
    }[place]
    with monkeypatch.context() as patched:
        patched.setattr(*target, failing(error))
        with pytest.raises(StoreError, match=r"full|cannot be written|fails"):
            work(made, store)
    assert store.results.step_ids() == []
    asked = missing(made, store)
    assert asked, "it is still wanted"
    assert store.claims.held([one.unit for one in asked]) == [], "and free for others"


def test_after_the_disk_has_room_again_the_run_goes_on(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = plan()
    with monkeypatch.context() as patched:
        patched.setattr(Run, "save", failing(SafetensorError(f"{FULL} (os error 28)")))
        with pytest.raises(StoreError, match="make room and run the same command again"):
            work(made, store, checkpoint_seconds=0.0)
    work(made, store)
    [record] = store.records(made.cells).values()
    assert record.status == "finished"
    assert kinds(store) == ["train", "predict", "grade"]


def test_an_error_of_another_kind_is_a_result_though_it_speaks_of_space(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Run, "step", failing(ValueError("no space for labels")))
    work(plan(), store)
    [record] = store.records(plan().cells).values()
    assert record.status == "failed"


# Of workers: see also `test_local.py`, where they really die


def die_over(store: Store, unit: str, times: int, *, is_crash: bool = True) -> None:
    """Workers that claim a piece of work, and are dead."""
    queue = store.queue(f"dead {store.results.new_token()}")
    queue.open()
    queue.want([Work(unit=unit, model="tiny")])
    for i in range(times):
        assert queue.claim(f"worker {i}", lease_seconds=60) is not None
        store.claims.bury(f"worker {i}", is_crash=is_crash)


def whats(events: list[Event]) -> list[str]:
    return [one.what for one in events]


def test_work_that_workers_die_over_is_lost_and_other_work_is_not(store: Store) -> None:
    made = plan(**BOTH)
    [_, tuned] = missing(made, store)
    die_over(store, tuned.unit, 3)
    assert whats(work(made, store)) == ["started", "finished", "started", "lost"]
    base, lost = [store.records(made.cells)[one.cell.id] for one in made.cells]
    assert (base.status, lost.status) == ("finished", "lost")
    assert lost.error == (
        "Its worker process died 3 times over it, perhaps killed for its memory. Try a "
        "smaller batch, then --retry lost."
    )
    store.results.forget([tuned.unit])
    work(made, store)
    assert store.records(made.cells)[made.cells[1].cell.id].status == "finished"


@pytest.mark.parametrize(("times", "is_crash"), [(2, True), (5, False)])
def test_fewer_deaths_or_those_of_whole_runs_are_forgiven(
    store: Store, times: int, *, is_crash: bool
) -> None:
    made = plan(methods=["base"])
    die_over(store, missing(made, store)[0].unit, times, is_crash=is_crash)
    assert whats(work(made, store)) == ["started", "finished"]


def test_the_step_that_workers_die_over_is_lost_and_not_what_was_done_before(
    store: Store,
) -> None:
    made = plan()
    work(made, store)
    large = plan(limits={**TINY["limits"], "test": 12})
    [asked] = missing(large, store)
    die_over(store, asked.unit, 3)
    assert whats(work(large, store)) == ["started", "lost"]
    [record] = store.records(large.cells).values()
    assert record.status == "lost"
    [record] = store.records(made.cells).values()
    assert record.status == "finished"
    assert missing(large, store) == []


def test_a_step_that_is_done_is_progress_after_which_deaths_count_anew(
    store: Store,
) -> None:
    made = plan(methods=["base"])
    [asked] = missing(made, store)
    die_over(store, asked.unit, 2)
    work(made, store)
    store.results.forget([store.results.of_kind("grade")[0].step.id])
    die_over(store, asked.unit, 2)
    assert whats(work(made, store)) == ["started", "finished"]


def test_a_measurement_that_workers_die_over_is_left_out_until_it_is_asked_again(
    store: Store,
) -> None:
    from peftbench.planning.costs import unmeasured

    made = plan(methods=["base"])
    [asked] = unmeasured(made.cells, made.models, store.results)
    die_over(store, asked.unit, 3)
    [_, event] = work(made, store, [asked])
    assert (event.what, event.detail) == (
        "measured",
        "Its worker process died 3 times over it.",
    )
    assert store.results.of_kind("measure") == []
    assert len(unmeasured(made.cells, made.models, store.results)) == 1
    [_, event] = work(made, store, [asked])
    assert (event.what, event.detail) == ("measured", "")
    assert len(store.results.of_kind("measure")) == 1


def test_the_headline_is_not_replaced_where_its_metric_fails(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is a failure with its reason, and no other number stands in its place."""
    made = plan(methods=["base"])
    real = metrics.get

    def get(name: str) -> Any:
        if name == "accuracy":
            raise RuntimeError("the metric is broken")
        return real(name)

    with monkeypatch.context() as patched:
        patched.setattr("peftbench.evaluation.score.metrics.get", get)
        work(made, store)
    [record] = store.records(made.cells).values()
    assert (record.status, record.headline) == ("failed", None)
    assert record.error is not None
    assert "the metric is broken" in record.error
