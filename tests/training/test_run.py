"""One run: its gradients, its steps, its learning rate, and what it writes down."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from peftbench import methods
from peftbench.encoding.encode import Encoded
from peftbench.encoding.logits import all_logits
from peftbench.errors import Diverged, OutOfMemory
from peftbench.spec import Training
from peftbench.training.run import Run, learning_rate_factor
from peftbench.training.seeds import state_sha256

MakeRun = Callable[..., Run]
THAT_TRAIN = [name for name in methods.names() if methods.get(name).trains]


def gradients(run: Run, rows: Sequence[Encoded], size: int) -> tuple[float, list[Any]]:
    """Loss and gradients of these rows, in micro-batches of `size`."""
    run.optimizer.zero_grad(set_to_none=True)
    loss = run.gradients(rows, size)
    return loss, [p.grad.clone() for p in run.parameters.values() if p.grad is not None]


def state(run: Run) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in run.parameters.items()}


def take(run: Run, steps: int) -> Run:
    for _ in range(steps):
        run.step()
    return run


def test_all_but_the_base_model_train() -> None:
    assert len(THAT_TRAIN) >= 8


def test_the_loss_is_the_mean_over_target_tokens_and_those_only(
    make_run: MakeRun, examples: tuple[Encoded, ...]
) -> None:
    run = make_run("lora", parameters={"rank": 2})
    logs = []
    for row in examples[:5]:
        ids = torch.tensor([(*row.prompt, *row.completion)])
        log = all_logits(run.model, ids[:, :-1])[0].log_softmax(-1)
        for k, token in enumerate(row.completion):
            logs.append(float(log[len(row.prompt) - 1 + k, token].detach()))
    loss, _ = gradients(run, examples[:5], 5)
    assert loss == pytest.approx(-sum(logs) / len(logs), abs=1e-5)


@pytest.mark.parametrize("name", ["lora", "prompt-tuning", "full"])
def test_how_a_batch_is_cut_changes_no_gradient(
    name: str, make_run: MakeRun, examples: tuple[Encoded, ...]
) -> None:
    """Also with rows of unequal numbers of target tokens: not a mean of means."""
    run = make_run(name, parameters={} if name == "full" else None)
    run.model.eval()  # no dropout: it draws other numbers for another cut
    rows = examples[:7]
    assert len({len(row.completion) for row in rows}) > 1
    whole_loss, whole = gradients(run, rows, 7)
    for size in (1, 2, 3, 6, 99):
        loss, parts = gradients(run, rows, size)
        assert loss == pytest.approx(whole_loss, rel=1e-6)
        for one, other in zip(whole, parts, strict=True):
            torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-4)


def test_how_a_batch_is_cut_changes_no_adapter(make_run: MakeRun) -> None:
    runs = [
        take(make_run("lora", parameters={"rank": 2}, micro_batch_size=size), 6)
        for size in (None, 1, 3)
    ]
    for run in runs[1:]:
        for one, other in zip(state(runs[0]).values(), state(run).values(), strict=True):
            torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", THAT_TRAIN)
def test_a_run_taken_twice_ends_with_the_same_bits(name: str, make_run: MakeRun) -> None:
    once, again = (take(make_run(name), 5) for _ in range(2))
    assert state_sha256(once.model) == state_sha256(again.model)
    assert once.progress == again.progress
    other = take(make_run(name, seed=2), 5)
    assert state_sha256(other.model) != state_sha256(once.model)


@pytest.mark.parametrize("name", THAT_TRAIN)
def test_a_run_that_was_saved_and_loaded_goes_on_bit_for_bit(
    name: str, make_run: MakeRun, tmp_path: Path
) -> None:
    """Adapter, best state, moments of the optimiser, place in the data, dropout."""
    straight = take(make_run(name), 3)
    straight.note_validation(0.5)
    straight.save(tmp_path)
    take(straight, 3).note_validation(0.25)

    other = make_run(name)
    take(other, 1)  # whatever was there is overwritten
    torch.manual_seed(99)
    other.load(tmp_path)
    assert other.progress.step == 3
    take(other, 3).note_validation(0.25)

    assert state_sha256(other.model) == state_sha256(straight.model)
    assert other.progress.resumed == 1
    other.progress.resumed = 0
    assert other.progress == straight.progress
    assert other.best.keys() == straight.best.keys()
    assert all(torch.equal(other.best[name], straight.best[name]) for name in other.best)
    straight.restore_best()
    other.restore_best()
    assert state_sha256(other.model) == state_sha256(straight.model)


def test_a_checkpoint_before_the_first_validation_has_no_best_state(
    make_run: MakeRun, tmp_path: Path
) -> None:
    run = take(make_run(), 1)
    run.save(tmp_path)
    other = make_run()
    other.load(tmp_path)
    assert other.best == {}
    assert other.progress.best_step is None


def test_what_is_saved_is_a_copy(make_run: MakeRun) -> None:
    run = take(make_run(), 2)
    run.note_validation(1.0)
    best = {name: tensor.clone() for name, tensor in run.best.items()}
    take(run, 2)
    assert all(torch.equal(run.best[name], best[name]) for name in best)
    assert any(not torch.equal(run.best[name], p) for name, p in run.parameters.items())


def test_frozen_weights_get_no_gradient_and_do_not_move(make_run: MakeRun) -> None:
    run = make_run("lora")
    frozen = {n: p for n, p in run.model.named_parameters() if not p.requires_grad}
    before = {name: p.detach().clone() for name, p in frozen.items()}
    take(run, 3)
    assert all(torch.equal(before[name], p) for name, p in frozen.items())
    assert all(p.grad is None for p in frozen.values())


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_no_number_ends_the_run_before_it_moves(
    make_run: MakeRun, value: float
) -> None:
    run = take(make_run("prompt-tuning"), 2)
    with torch.no_grad():
        next(iter(run.parameters.values()))[0, 0] = value
    before = state(run)
    with pytest.raises(Diverged, match=r"at step 3 of 6\. Try a lower learning rate"):
        run.step()
    assert run.progress.step == 2
    after = state(run)
    assert all(torch.equal(before[n].nan_to_num(7), after[n].nan_to_num(7)) for n in before)


def test_an_infinite_gradient_ends_the_run_although_the_loss_is_finite(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run()

    def gradients(*_: Any) -> float:
        for parameter in run.parameters.values():
            parameter.grad = torch.full_like(parameter, math.inf)
        return 1.0

    monkeypatch.setattr(run, "gradients", gradients)
    with pytest.raises(Diverged, match="gradient norm inf"):
        run.step()


def test_the_gradient_norm_is_clipped_only_where_it_is_asked_for(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    for limit, expected in ((0.5, 0.5), (None, 3.0), (5.0, 3.0)):
        run = make_run("prompt-tuning", max_grad_norm=limit)
        (parameter,) = run.parameters.values()
        seen: list[float] = []

        def gradients(*_: Any, parameter: torch.nn.Parameter = parameter) -> float:
            parameter.grad = torch.zeros_like(parameter)
            parameter.grad[0, 0] = 3.0
            return 1.0

        def look(
            seen: list[float] = seen, parameter: torch.nn.Parameter = parameter
        ) -> None:
            assert parameter.grad is not None
            seen.append(float(parameter.grad.norm()))

        monkeypatch.setattr(run, "gradients", gradients)
        monkeypatch.setattr(run.optimizer, "step", look)
        run.step()
        assert seen == [pytest.approx(expected, rel=1e-4)]


class FakeMemory:
    """Runs out of memory where more than `most` rows come at once."""

    def __init__(self, run: Run, most: int, error: type[Exception]) -> None:
        self.most, self.error, self.sizes = most, error, list[int]()
        handle: Any = run.model
        handle.get_output_embeddings().register_forward_hook(self.check)
        run.model.register_forward_pre_hook(self.note, with_kwargs=True)

    def note(self, _module: Any, _arguments: Any, named: dict[str, Any]) -> None:
        self.sizes.append(len(named["input_ids"]))

    def check(self, *_: Any) -> None:
        # After the first backward pass of a step too: half a gradient is left behind.
        if self.sizes[-1] > self.most:
            raise self.error("no memory left")


@pytest.mark.parametrize("error", [torch.OutOfMemoryError, MemoryError])
def test_too_little_memory_halves_the_micro_batch_and_changes_no_result(
    make_run: MakeRun, error: type[Exception]
) -> None:
    settings: dict[str, Any] = {"parameters": {"rank": 2}, "batch_size": 8, "steps": 4}
    roomy, tight = (make_run("lora", **settings) for _ in range(2))
    memory = FakeMemory(tight, 3, error)
    take(roomy, 4)
    take(tight, 4)
    assert tight.progress.micro_batch_size == 2
    assert memory.sizes == [8, 4, *[2] * 16], "later steps start with what fitted"
    assert roomy.progress.micro_batch_size == 8
    for one, other in zip(state(roomy).values(), state(tight).values(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


def test_memory_that_runs_out_in_the_middle_of_a_step_leaves_no_gradient_behind(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Gradients, not adapters: the first step of AdamW does not see their scale."""
    settings: dict[str, Any] = {
        "micro_batch_size": 2,
        "parameters": {"rank": 2},
        "max_grad_norm": None,
    }
    expected, run = make_run(**settings), make_run(**settings)
    original = run.gradients
    calls: list[int] = []
    found: list[list[torch.Tensor]] = []

    def gradients(rows: Sequence[Encoded], size: int) -> float:
        calls.append(size)
        loss = original(rows, size)
        if len(calls) == 1:
            raise torch.OutOfMemoryError("after the backward pass")
        return loss

    monkeypatch.setattr(run, "gradients", gradients)
    for one in (expected, run):
        parameters = list(one.parameters.values())

        def note(parameters: list[torch.nn.Parameter] = parameters) -> None:
            found.append([p.grad.clone() for p in parameters if p.grad is not None])

        monkeypatch.setattr(one.optimizer, "step", note)
        one.step()
    assert calls == [2, 1]
    assert any(gradient.abs().max() > 1e-3 for gradient in found[0])
    for once, again in zip(*found, strict=True):
        torch.testing.assert_close(once, again, atol=2e-6, rtol=1e-4)


def test_dropout_is_drawn_again_from_the_same_state_after_memory_ran_out(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run("lora", micro_batch_size=1)
    original, draws = run.gradients, []

    def gradients(rows: Sequence[Encoded], size: int) -> float:
        draws.append(torch.get_rng_state())
        loss = original(rows, size)
        if len(draws) == 1:
            raise MemoryError
        return loss

    monkeypatch.setattr(run, "gradients", gradients)
    run.progress.micro_batch_size = 4
    run.step()
    assert torch.equal(draws[0], draws[1])


def test_one_row_that_does_not_fit_ends_the_run_with_its_length(make_run: MakeRun) -> None:
    run = make_run()
    FakeMemory(run, 0, torch.OutOfMemoryError)
    with pytest.raises(OutOfMemory, match=r"One example of \d+ tokens .*max_length"):
        run.step()
    assert run.progress.step == 0


def test_an_error_of_another_kind_is_not_taken_for_lack_of_memory(
    make_run: MakeRun,
) -> None:
    run = make_run()
    FakeMemory(run, 0, RuntimeError)
    with pytest.raises(RuntimeError, match="no memory left"):
        run.step()


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (
            {"scheduler": "constant", "warmup_fraction": 0.4},
            [0.25, 0.5, 0.75, 1, 1, 1, 1, 1, 1, 1],
        ),
        (
            {"scheduler": "linear", "warmup_fraction": 0},
            [1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1],
        ),
        (
            {"scheduler": "linear", "warmup_fraction": 0.2},
            [0.5, 1, 1, 7 / 8, 6 / 8, 5 / 8, 4 / 8, 3 / 8, 2 / 8, 1 / 8],
        ),
        (
            {"scheduler": "cosine", "warmup_fraction": 0.2},
            [0.5, 1, *((1 + math.cos(math.pi * k / 8)) / 2 for k in range(8))],
        ),
    ],
)
def test_the_course_of_the_learning_rate(
    settings: dict[str, Any], expected: list[float]
) -> None:
    training = Training(**settings)
    found = [learning_rate_factor(training, step, 10) for step in range(10)]
    assert found == pytest.approx(expected)


@pytest.mark.parametrize("scheduler", ["cosine", "linear", "constant"])
@pytest.mark.parametrize("warmup", [0.0, 0.1, 0.5, 0.99])
@pytest.mark.parametrize("steps", [1, 2, 3, 7, 100])
def test_every_step_has_a_learning_rate_above_zero_and_one_has_the_peak(
    scheduler: Any, warmup: float, steps: int
) -> None:
    training = Training(scheduler=scheduler, warmup_fraction=warmup)
    found = [learning_rate_factor(training, step, steps) for step in range(steps)]
    assert all(0 < factor <= 1 for factor in found)
    assert max(found) == 1


def test_the_optimiser_uses_the_learning_rate_of_its_step(make_run: MakeRun) -> None:
    run = make_run(steps=4, learning_rate=0.1, scheduler="linear", warmup_fraction=0.5)
    rates = []
    for _ in range(4):
        run.step()
        rates.append(run.optimizer.param_groups[0]["lr"])
    assert rates == pytest.approx([0.05, 0.1, 0.1, 0.05])


def test_the_best_state_is_kept_and_restored(make_run: MakeRun) -> None:
    run = make_run()
    states = {}
    for score in (0.2, 0.6, 0.4):
        run.step()
        states[run.progress.step] = state_sha256(run.model)
        run.note_validation(score)
    run.restore_best()
    assert (run.progress.best_step, run.progress.best_score) == (2, 0.6)
    assert state_sha256(run.model) == states[2]
    assert not run.model.training


def test_where_lower_is_better_the_lowest_is_best(make_run: MakeRun) -> None:
    run = make_run(higher_is_better=False)
    for score in (0.6, 0.2, 0.4):
        run.step()
        run.note_validation(score)
    assert (run.progress.best_step, run.progress.best_score) == (2, 0.2)


def test_of_equal_scores_the_later_is_kept_and_patience_still_runs(
    make_run: MakeRun,
) -> None:
    run = make_run(patience=2)
    for score in (0.5, 0.5, 0.5):
        assert not run.is_over
        run.step()
        run.note_validation(score)
    assert run.progress.best_step == 3
    assert run.is_over


def test_patience_starts_again_with_every_gain(make_run: MakeRun) -> None:
    run = make_run(patience=2)
    for score in (0.5, 0.4, 0.6, 0.5):
        run.step()
        run.note_validation(score)
        assert not run.is_over
    run.step()
    run.note_validation(0.6)
    assert run.is_over


def test_a_run_without_patience_goes_to_its_end(make_run: MakeRun) -> None:
    run = make_run(steps=5)
    for _ in range(5):
        assert not run.is_over
        run.step()
        run.note_validation(0.0)
    assert run.is_over


@pytest.mark.parametrize(
    ("steps", "validations", "expected"),
    [(8, 4, {2, 4, 6, 8}), (7, 2, {4, 7}), (3, 9, {1, 2, 3}), (1, 4, {1}), (5, 1, {5})],
)
def test_validations_are_spread_evenly_and_the_last_step_has_one(
    make_run: MakeRun, steps: int, validations: int, expected: set[int]
) -> None:
    assert make_run(steps=steps, validations=validations).validation_steps == expected


def test_a_validation_reports_the_mean_loss_since_the_one_before(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(steps=4, batch_size=4)
    losses = iter([4.0, 2.0, 1.0, 0.5])
    monkeypatch.setattr(run, "gradients", lambda *_: next(losses))
    for due in (False, True, False, True):
        run.step()
        if due:
            run.note_validation(0.0)
    looks = run.progress.validations
    assert [look.train_loss for look in looks] == [3.0, 0.75]
    assert [look.step for look in looks] == [2, 4]
    assert [look.epoch for look in looks] == pytest.approx([8 / 24, 16 / 24])
