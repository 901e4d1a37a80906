"""A method takes part in training through its hook; a run with one resumes bit for bit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from peftbench import methods
from peftbench.cost.count import Inputs, count
from peftbench.encoding.batches import Batch
from peftbench.encoding.encode import Encoded
from peftbench.methods import Hook, RunContext
from peftbench.models import resolve
from peftbench.models._load import load
from peftbench.spec import ModelChoice, Training
from peftbench.store import Checkpoints
from peftbench.testing import tiny_llama
from peftbench.training.data import TrainingData
from peftbench.training.loop import Member, train_group
from peftbench.training.optimizer_state import pack
from peftbench.training.run import Run
from peftbench.training.seeds import seed_everything, state_sha256


class Momentum(torch.optim.Optimizer):
    """Keeps state by parameter and by name, in tensors and in plain numbers."""

    def __init__(self, parameters: Mapping[str, nn.Parameter], rate: float) -> None:
        groups = [
            {"params": [p for n, p in parameters.items() if "lora_A" in n], "lr": rate},
            {"params": [p for n, p in parameters.items() if "lora_B" in n], "lr": 4 * rate},
        ]
        super().__init__(groups, {})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        assert closure is None
        by_name: dict[str, Any] = self.state["all of them"]  # type: ignore[index]
        by_name["count"] = by_name.get("count", 0) + 1
        for group in self.param_groups:
            for parameter in group["params"]:
                state = self.state[parameter]
                velocity = state.setdefault("velocity", torch.zeros_like(parameter))
                seen = state.setdefault("seen", torch.zeros(2, dtype=torch.int64))
                seen += 1
                velocity.mul_(0.9).add_(parameter.grad)
                rate = group["lr"] * (1 + int(seen[0]) / 4) / by_name["count"] ** 0.5
                parameter.sub_(velocity, alpha=rate)


class Remembering(Hook):
    """Decays towards a running mean of its own past, ever more strongly."""

    def __init__(self, adapted: nn.Module, calls: list[Any]) -> None:
        self.adapted = adapted
        self.calls = calls
        self.mean: torch.Tensor = torch.zeros(())
        self.steps = torch.zeros((), dtype=torch.int64)

    def optimizer(
        self, parameters: Mapping[str, nn.Parameter], training: Training
    ) -> torch.optim.Optimizer:
        return Momentum(parameters, training.learning_rate)

    def before_forward(self, batch: Batch) -> None:
        self.calls.append(("before_forward", len(batch.input_ids)))

    def penalty(self) -> torch.Tensor:
        self.calls.append("penalty")
        return 0.1 * int(self.steps) * (self._norm() - self.mean).square()

    def before_step(self, step: int) -> None:
        assert all(p.grad is not None for p in self.adapted.parameters() if p.requires_grad)
        self.calls.append(("before_step", step))

    def after_step(self, step: int) -> None:
        assert all(p.grad is not None for p in self.adapted.parameters() if p.requires_grad)
        self.calls.append(("after_step", step))
        self.mean = 0.5 * self.mean + 0.5 * self._norm().detach()
        self.steps += 1

    def state(self) -> dict[str, torch.Tensor]:
        return {"mean": self.mean, "steps": self.steps}

    def load_state(self, state: Mapping[str, torch.Tensor]) -> None:
        self.mean, self.steps = state["mean"], state["steps"]

    def _norm(self) -> torch.Tensor:
        trained = [p for p in self.adapted.parameters() if p.requires_grad]
        return sum((p.square().sum() for p in trained), torch.zeros(()))


@dataclass(frozen=True, kw_only=True)
class Hooked(methods.get("lora")):  # type: ignore[misc]
    """LoRA that starts from the data and trains through `Remembering`."""

    rank: int = 2

    def attach_for(self, model: Any, context: RunContext) -> nn.Module:
        adapted = self.attach(model)
        first = next(context.batches())
        with torch.no_grad():
            for parameter in adapted.parameters():
                if parameter.requires_grad:
                    parameter.add_(1e-3 * first.input_ids.float().mean() / context.steps)
        return adapted

    def hook(self, adapted: nn.Module, context: RunContext) -> Hook:
        CALLS.append(context.steps)
        return Remembering(adapted, CALLS)


CALLS: list[Any] = []


@pytest.fixture(autouse=True)
def no_calls() -> None:
    CALLS.clear()


@pytest.fixture
def make_hooked(examples: tuple[Encoded, ...]) -> Callable[..., Run]:
    def make(**settings: Any) -> Run:
        training = Training.model_validate(
            {"steps": 6, "batch_size": 4, "learning_rate": 1e-2, "validations": 3}
            | settings
        )
        seed_everything(1)
        data = TrainingData.planned(examples, training, seed=1, task="toy", pad_id=0)
        method = Hooked(dropout=0.1)
        adapted = method.attach_for(tiny_llama(), data.context)
        return Run(adapted, data, hook=method.hook(adapted, data.context))

    return make


def test_the_loop_calls_in_the_documented_order(make_hooked: Callable[..., Run]) -> None:
    run = make_hooked(micro_batch_size=3)
    run.step()
    run.step()
    assert CALLS == [
        6,
        ("before_forward", 3),
        ("before_forward", 1),
        "penalty",
        ("before_step", 0),
        ("after_step", 0),
        ("before_forward", 3),
        ("before_forward", 1),
        "penalty",
        ("before_step", 1),
        ("after_step", 1),
    ]


def test_a_penalty_moves_gradients_and_not_the_reported_loss(
    make_hooked: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for weight in (0.0, 2.0):
        run = make_hooked()
        run.model.eval()
        parameters = list(run.parameters.values())

        def penalty(
            weight: float = weight, parameters: list[nn.Parameter] = parameters
        ) -> torch.Tensor:
            return torch.stack([weight * p.square().sum() for p in parameters]).sum()

        monkeypatch.setattr(run.hook, "penalty", penalty)
        loss = run.gradients(run.examples[:4], 2)
        found.append((loss, [p.grad for p in parameters], parameters))
    (loss, plain, values), (same_loss, penalised, _) = found
    assert loss == same_loss
    for before, after, value in zip(plain, penalised, values, strict=True):
        assert before is not None
        assert after is not None
        torch.testing.assert_close(after - before, 4.0 * value.detach())


def test_every_group_keeps_its_ratio_under_the_schedule(
    make_hooked: Callable[..., Run],
) -> None:
    run = make_hooked(scheduler="linear", warmup_fraction=0.5)
    rates = []
    for _ in range(6):
        run.step()
        rates.append([group["lr"] for group in run.optimizer.param_groups])
    assert rates[2] == pytest.approx([1e-2, 4e-2])
    assert all(fast == pytest.approx(4 * slow) for slow, fast in rates)
    assert rates[0] < rates[1] < rates[2]


@pytest.mark.parametrize("killed_at", [2, 3, 5])
def test_a_killed_run_with_a_hook_goes_on_as_if_it_had_not_been(
    killed_at: int, make_hooked: Callable[..., Run], tmp_path: Path
) -> None:
    class Killed(BaseException):
        pass

    def stop(step: int, _steps: int) -> None:
        if step == killed_at:
            raise Killed

    def member(run: Run, **rest: Any) -> Member:
        return Member(run, validate=lambda: float(run.progress.step), **rest)

    straight = make_hooked()
    train_group([member(straight)])
    checkpoints = Checkpoints(tmp_path)
    with pytest.raises(Killed):
        train_group([member(make_hooked(), checkpoints=checkpoints, on_step=stop)])
    resumed = make_hooked()
    torch.manual_seed(12345)
    train_group([member(resumed, checkpoints=checkpoints)])

    assert resumed.progress.resumed == 1
    assert state_sha256(resumed.model) == state_sha256(straight.model)
    assert resumed.hook.state() == straight.hook.state()
    tensors, values = pack(straight.optimizer, straight.parameters)
    again, same_values = pack(resumed.optimizer, resumed.parameters)
    assert tensors.keys() == again.keys()
    assert {name.partition("|")[0] for name in tensors} == {"velocity", "seen"}
    for name, tensor in tensors.items():
        assert tensor.dtype == again[name].dtype
        assert torch.equal(tensor, again[name])
    assert values == same_values == {"count|all of them": 6}


def test_without_its_state_a_hook_would_have_gone_another_way(
    make_hooked: Callable[..., Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test above can fail."""
    straight = make_hooked()
    for _ in range(3):
        straight.step()
    straight.save(tmp_path)
    forgetful = make_hooked()
    monkeypatch.setattr(forgetful.hook, "load_state", lambda _state: None)
    forgetful.load(tmp_path)
    for run in (straight, forgetful):
        for _ in range(3):
            run.step()
    assert state_sha256(forgetful.model) != state_sha256(straight.model)


def test_the_occasion_shows_the_batches_of_the_run_in_order(
    examples: tuple[Encoded, ...],
) -> None:
    training = Training(steps=3, batch_size=4, micro_batch_size=2)
    data = TrainingData.planned(examples, training, seed=1, task="toy", pad_id=0)
    state = torch.get_rng_state()
    seen = [list(data.context.batches()) for _ in range(2)]
    assert torch.equal(torch.get_rng_state(), state)
    assert [len(part.input_ids) for part in seen[0]] == [2] * 6
    first = examples[data.batches[0][0]]
    ids = (*first.prompt, *first.completion)[:-1]
    assert seen[0][0].input_ids[0, : len(ids)].tolist() == list(ids)
    assert all(torch.equal(a.input_ids, b.input_ids) for a, b in zip(*seen, strict=True))


def test_the_meter_measures_the_optimiser_and_the_hook_of_the_method() -> None:
    base = load(resolve(ModelChoice(name="tiny")))
    inputs = Inputs(inference=(1, 8), training=(2, 8))
    plain, hooked = (
        count(method, base.model, base.shapes.vocab_size, inputs)
        for method in (methods.get("lora")(rank=2), Hooked())
    )
    trained = 4 * hooked.trainable_parameters
    assert hooked.trainable_parameters == plain.trainable_parameters
    # One velocity for each parameter in place of two moments, and small counts.
    assert trained < hooked.memory.optimizer < 1.5 * trained
    assert plain.memory.optimizer > 2 * trained
    assert ("before_forward", 2) in CALLS
    assert "penalty" in CALLS
    assert ("after_step", 2) in CALLS
