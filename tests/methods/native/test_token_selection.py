"""Token selection: plain LoRA at zero, the surrogate's formula, padding, traps, and a toy
whose tokens are known."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from peftbench import methods
from peftbench.encoding.batches import Batch
from peftbench.encoding.encode import Encoded
from peftbench.errors import InvalidSpec
from peftbench.methods._calibrate import is_text
from peftbench.methods._native.low_rank import LowRank
from peftbench.methods._native.token_selection import (
    Pressure,
    TokenSelectionHook,
    selected_shares,
    selection_of,
)
from peftbench.methods._native.token_selective import (
    KERNELS,
    Selection,
    Thresholds,
    TokenSelective,
    select_tokens,
)
from peftbench.spec import Training
from peftbench.testing import tiny_llama
from peftbench.training.data import TrainingData
from peftbench.training.run import Run

TS_LORA = methods.get("ts-lora")
ROWS = [
    Encoded(prompt=(5, 9, 33, 7), completion=(61, 20, 2)),
    Encoded(prompt=(44, 3), completion=(17, 2)),
    Encoded(prompt=(8, 14, 70, 6, 52), completion=(11, 2)),
    Encoded(prompt=(25, 30, 31), completion=(40, 41, 42, 2)),
]
CPU = torch.device("cpu")


def training_data(steps: int, **settings: Any) -> TrainingData:
    training = Training(
        steps=steps, batch_size=4, learning_rate=1e-2, validations=1, **settings
    )
    return TrainingData(ROWS, [[0, 1, 2, 3]] * steps, training, pad_id=0, device=CPU)


def run_of(method: Any, adapted: Any, data: TrainingData) -> Run:
    return Run(adapted, data, hook=method.hook(adapted, data.context))


def started(method: Any, seed: int = 3, **settings: Any) -> Any:
    torch.manual_seed(seed)
    return method.attach(tiny_llama())


def weights(adapted: Any) -> dict[str, torch.Tensor]:
    """A and B of every layer under one name for both methods."""
    found = {}
    for name, parameter in adapted.named_parameters():
        for ours, theirs in (("branch.a", "lora_A"), ("branch.b", "lora_B")):
            if name.endswith(ours) or f"{theirs}.default" in name:
                place = name.partition(".native_parts")[0].partition(".lora_")[0]
                found[f"{place} {ours}"] = parameter
    return found


def test_without_thresholds_it_is_plain_lora_bit_for_bit() -> None:
    lora, selective = methods.get("lora")(), TS_LORA(penalty=0, dense_fraction=0.99)
    adapted = {"lora": started(lora), "ts": started(selective)}
    theirs, ours = weights(adapted["lora"]), weights(adapted["ts"])
    assert theirs.keys() == ours.keys() != set()
    with torch.no_grad():
        for name, tensor in theirs.items():
            ours[name].copy_(tensor)
    data = training_data(8)
    runs = {
        "lora": run_of(lora, adapted["lora"], data),
        "ts": run_of(selective, adapted["ts"], data),
    }
    for _ in range(8):
        for run in runs.values():
            run.step()
        assert runs["lora"].progress.loss_sum == runs["ts"].progress.loss_sum
    assert all(torch.equal(theirs[name], ours[name]) for name in theirs)
    assert all(bool(tensor.any()) for name, tensor in ours.items() if name.endswith("b"))
    assert torch.equal(selection_of(adapted["ts"])[1].values, torch.zeros(14))


def part(kernel: str = "logistic", tau: float = 0.0) -> tuple[nn.Linear, TokenSelective]:
    torch.manual_seed(1)
    layer = nn.Linear(6, 5).requires_grad_(False)
    branch = LowRank(layer, 2, 1.0)
    nn.init.normal_(branch.b)
    selective = select_tokens({"layer": branch}, kernel)["layer"]
    assert isinstance(selective, TokenSelective)
    with torch.no_grad():
        selective.thresholds().values.fill_(tau)
    return layer, selective


SLOW_KERNELS = {
    "logistic": lambda z: (1 / (1 + (-z).exp())) * (1 - 1 / (1 + (-z).exp())),
    "triangle": lambda z: torch.maximum(torch.tensor(0.0), 1 - z.abs()),
    "constant": lambda z: torch.tensor(1.0),
}


@pytest.mark.parametrize("kernel", SLOW_KERNELS)
def test_outputs_and_gradients_are_those_of_the_formula(kernel: str) -> None:
    layer, selective = part(kernel, tau=0.8)
    selective.selection.learning = True
    x = torch.randn(3, 7, 6)
    goal = torch.randn(3, 7, 5)
    out = selective(layer, x)
    (out * goal).sum().backward()  # so dL/dh is `goal`

    a = selective.branch.a.detach().clone().requires_grad_()
    b = selective.branch.b.detach().clone().requires_grad_()
    base, r, kept, worth = [], [], [], []
    total = torch.zeros(())
    for token, g in zip(x.reshape(-1, 6), goal.reshape(-1, 5), strict=True):
        h = layer.weight @ token + layer.bias
        m = b @ (a @ token)
        size = float(m.norm().detach() / (h.norm() + 1e-6))
        r.append(size)
        kept.append(size >= 0.8)
        worth.append(float((g * m).sum().detach()))
        base.append(h + m if kept[-1] else h)
        total = total + (g * base[-1]).sum()
    assert 3 < sum(kept) < 18, "the threshold parts the tokens"
    torch.testing.assert_close(out.reshape(-1, 5), torch.stack(base), atol=1e-5, rtol=1e-5)
    total.backward()
    torch.testing.assert_close(selective.branch.a.grad, a.grad, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(selective.branch.b.grad, b.grad, atol=1e-5, rtol=1e-5)
    sizes = torch.tensor(r)
    w = max(float(sizes.std(correction=0)), 1e-3)
    pull = [
        -c * float(SLOW_KERNELS[kernel]((torch.tensor(size) - 0.8) / w)) / w
        for c, size in zip(worth, r, strict=True)
    ]
    torch.testing.assert_close(
        selective.thresholds().values.grad, torch.tensor([sum(pull)]), atol=1e-5, rtol=1e-4
    )


def test_every_kernel_is_tested() -> None:
    assert set(SLOW_KERNELS) == set(KERNELS)


def test_the_batch_says_where_padding_is() -> None:
    batch = Batch.of(ROWS, 0, CPU)
    expected = [[i < len(row) - 1 for i in range(6)] for row in ROWS]
    assert is_text(batch).tolist() == expected


def test_padding_is_never_counted() -> None:
    """Longer padding changes neither counts, nor windows, nor the gradient of tau."""
    method = TS_LORA(dense_fraction=0.0)
    seen = []
    for length in (6, 11):
        adapted = started(method)
        with torch.no_grad():
            for parameter in adapted.parameters():
                if parameter.requires_grad:
                    parameter.add_(0.1)
        hook: Any = method.hook(adapted, training_data(4).context)
        hook.optimizer(dict(adapted.named_parameters()), Training())
        batch = Batch.of(ROWS, 0, CPU)
        pad = length - batch.input_ids.shape[1]
        batch = Batch(
            nn.functional.pad(batch.input_ids, (0, pad), value=77),
            nn.functional.pad(batch.answers, (0, pad)),
            batch.targets,
        )
        adapted.train()
        hook.before_forward(batch)
        logits = adapted(input_ids=batch.input_ids, use_cache=False).logits
        nn.functional.cross_entropy(logits[batch.answers], batch.targets).backward()
        hook.penalty()
        notes = hook.selection
        assert {float(count) for count in notes.tokens} == {6 + 3 + 6 + 6}
        seen.append(
            torch.cat(
                [torch.stack(notes.windows), torch.stack(notes.selected), hook.gradient]
            )
        )
    torch.testing.assert_close(seen[0], seen[1], atol=1e-5, rtol=1e-4)


def test_lambda_pushes_thresholds_up_by_its_formula() -> None:
    layer, selective = part(tau=0.7)
    selection, thresholds = selective.selection, selective.thresholds()
    gradients = []
    for penalty in (0.0, 0.5):
        hook = TokenSelectionHook(
            selection, thresholds, Pressure(penalty, 1e-3, 0.0), steps=10, initial_loss=2.0
        )
        hook.optimizer(dict(selective.named_parameters()), Training())
        selective.zero_grad()
        selection.reset()
        torch.manual_seed(5)
        x = torch.randn(4, 3, 6)
        selective(layer, x).sum().backward()
        hook.penalty()
        assert thresholds.values.grad is None, "it must not take part in clipping"
        assert hook.gradient is not None
        gradients.append(float(hook.gradient))
    window = float(selection.windows[0])
    assert gradients[1] - gradients[0] == pytest.approx(-0.5 * 2.0 * window / 12, rel=1e-4)


@pytest.mark.parametrize("name", ["ts-lora", "ts-bottleneck"])
def test_merging_is_refused(name: str) -> None:
    method = methods.get(name)()
    with pytest.raises(InvalidSpec, match="cannot be merged"):
        method.merge(method.attach(tiny_llama()))


@pytest.mark.parametrize(("tau", "learns"), [(0.1, False), (0.0, True)])
def test_a_threshold_above_zero_at_the_start_shuts_every_token(
    tau: float, learns: bool
) -> None:
    """The trap that the dense phase avoids: with B = 0 every r is 0."""
    method = TS_LORA(dense_fraction=0.0)
    adapted = started(method)
    with torch.no_grad():
        selection_of(adapted)[1].values.fill_(tau)
    tokens = Batch.of(ROWS, 0, CPU).input_ids
    before = adapted(input_ids=tokens).logits.detach()
    run = run_of(method, adapted, training_data(15))
    losses = []
    for _ in range(15):
        run.step()
        losses.append(run.progress.loss_sum)
    adapted.eval()
    after = adapted(input_ids=tokens).logits.detach()
    if learns:
        assert losses[-1] - losses[-2] < 0.5 * losses[0]
        return
    assert torch.equal(after, before)
    assert losses[-1] == pytest.approx(15 * losses[0])


def test_thresholds_rest_in_the_dense_phase_and_in_the_last_tenth() -> None:
    method = TS_LORA(penalty=3.0)
    adapted = started(method)
    values = selection_of(adapted)[1].values
    run = run_of(method, adapted, training_data(40))
    seen = [values.detach().clone()]
    for _ in range(40):
        run.step()
        seen.append(values.detach().clone())
    moved = [not torch.equal(a, b) for a, b in pairwise(seen)]
    assert not any(moved[:10])
    assert all(moved[11:36])
    assert not any(moved[36:])
    assert float(seen[-1].max()) > 0
    assert float(torch.stack(seen).min()) == 0


def test_a_resumed_run_goes_on_bit_for_bit(tmp_path: Path) -> None:
    method = TS_LORA(penalty=1.0)
    data = training_data(12)
    whole = run_of(method, started(method), data)
    for _ in range(12):
        whole.step()
    first = run_of(method, started(method), data)
    for _ in range(7):  # in the phase in which thresholds move
        first.step()
    first.save(tmp_path)
    second = run_of(method, started(method, seed=9), data)
    second.load(tmp_path)
    for _ in range(5):
        second.step()
    for name, parameter in whole.parameters.items():
        assert torch.equal(parameter, second.parameters[name]), name
    assert float(selection_of(whole.model)[1].values.max()) > 0


def test_a_step_that_starts_over_counts_its_tokens_once() -> None:
    method = TS_LORA(dense_fraction=0.0)
    adapted = started(method)
    run = run_of(method, adapted, training_data(4))
    hook: Any = run.hook
    run.model.train()
    run.gradients(ROWS, 4)
    run.training_step.clear_gradients()  # as after an error of memory
    run.gradients(ROWS, 2)
    assert {float(count) for count in hook.selection.tokens} == {6 + 3 + 6 + 6}


@pytest.mark.parametrize("name", ["ts-lora", "ts-bottleneck"])
def test_a_token_decides_the_same_with_a_cache(name: str) -> None:
    method = methods.get(name)()
    adapted = started(method)
    with torch.no_grad():
        for parameter in adapted.parameters():
            if parameter.requires_grad:
                parameter.add_(0.2 * torch.randn_like(parameter))
        selection, thresholds = selection_of(adapted)
        thresholds.values.fill_(0.6)
    adapted.eval()
    tokens = torch.tensor([[5, 9, 33, 7, 61, 20, 8, 14]])
    selection.counting = True
    with torch.no_grad():
        whole = adapted(input_ids=tokens).logits
        shares = selection.shares()
        assert 0 < sum(shares.values()) < len(shares), "some tokens are selected, not all"
        cache, pieces = None, []
        for i in range(8):
            step = adapted(input_ids=tokens[:, i : i + 1], past_key_values=cache)
            cache = step.past_key_values
            pieces.append(step.logits)
    torch.testing.assert_close(torch.cat(pieces, 1), whole, atol=1e-5, rtol=1e-5)


def test_shares_after_training_are_those_of_the_gate() -> None:
    method = TS_LORA(penalty=1.0)
    adapted = started(method)
    data = training_data(20)
    run = run_of(method, adapted, data)
    for _ in range(20):
        run.step()
    adapted.eval()
    shares = selected_shares(adapted, data.context)
    assert len(shares) == 14
    assert method.facts(adapted, data.context) == {
        f"tokens selected, {place}": share for place, share in shares.items()
    }
    batch = Batch.of(ROWS, 0, CPU)
    open_: dict[str, torch.Tensor] = {}
    for place, module in adapted.named_modules():
        if isinstance(module, TokenSelective):
            place = place.removeprefix("base_model.model.").partition(".native_parts")[0]
            gate = module.gate

            def noted(m: Any, h: Any, gate: Any = gate, place: str = place) -> Any:
                open_[place] = gate(m, h)
                return open_[place]

            module.gate = noted  # type: ignore[method-assign]
    with torch.no_grad():
        adapted(input_ids=batch.input_ids)
    kept = is_text(batch)
    for place, share in shares.items():
        assert share == pytest.approx(float(open_[place][kept].mean()))
    assert 0 < min(shares.values()) <= max(shares.values()) <= 1


def toy(seed: int, penalty: float, steps: int = 500) -> tuple[float, float, float]:
    """Recall of the tokens that the teacher updates, share of the others that are selected,
    and share of all tokens selected, after training.

    The teacher is a frozen map and, on 40 % of the tokens, a rank-3 update. Those tokens lie
    mostly in the three directions that the update reads; the others lie in all directions.
    """
    torch.manual_seed(seed)
    width, count = 24, 600
    layer = nn.Linear(width, width, bias=False).requires_grad_(False)
    nn.init.orthogonal_(layer.weight)
    read, _ = torch.linalg.qr(torch.randn(width, 3))
    write, _ = torch.linalg.qr(torch.randn(width, 3))
    true = torch.arange(count) < 0.4 * count
    x = torch.randn(count, width)
    x[true] = 0.4 * x[true] + 3.0 * torch.randn(int(true.sum()), 3) @ read.t()
    target = layer(x)
    target[true] += x[true] @ read @ write.t()

    selective = select_tokens({"layer": LowRank(layer, 4, 1.0)}, "logistic")["layer"]
    assert isinstance(selective, TokenSelective)
    initial = float((layer(x) - target).square().mean())
    hook = TokenSelectionHook(
        selective.selection,
        selective.thresholds(),
        Pressure(penalty, 5e-3, 0.25),
        steps=steps,
        initial_loss=initial,
    )
    parameters = dict(selective.named_parameters())
    training = Training(learning_rate=1e-2, weight_decay=0.0)
    optimizer = hook.optimizer(parameters, training)
    for step in range(steps):
        selective.selection.reset()
        (selective(layer, x) - target).square().mean().backward()
        hook.penalty()
        hook.before_step(step)
        optimizer.step()
        hook.after_step(step)
        optimizer.zero_grad()
    selective.eval()
    with torch.no_grad():
        h = layer(x)
        open_ = selective.gate(selective.branch.update(x, h), h) > 0
    return (
        float(open_[true].float().mean()),
        float(open_[~true].float().mean()),
        float(open_.float().mean()),
    )


@pytest.mark.parametrize("seed", [0, 1])
def test_the_tokens_of_a_known_update_are_found(seed: int) -> None:
    """At least 90 % of the tokens that the teacher updates, at most 5 % of the others."""
    recall, false_share, _ = toy(seed, penalty=0.01)
    assert recall >= 0.9
    assert false_share <= 0.05


def test_more_pressure_selects_fewer_tokens() -> None:
    shares = [toy(0, penalty, steps=300)[2] for penalty in (0.0, 0.3, 3.0)]
    assert shares[0] > shares[1] > shares[2]


def test_selection_without_a_hook_selects_every_token() -> None:
    """Trained by another loop, thresholds stay at zero: it is the method inside."""
    selection = Selection(["a"], "logistic")
    branch = LowRank(nn.Linear(4, 4), 2, 1.0)
    nn.init.normal_(branch.b)
    selective = TokenSelective(branch, selection, 0, Thresholds(1))
    layer, x = nn.Linear(4, 4), torch.randn(5, 4)
    torch.testing.assert_close(selective(layer, x), layer(x) + branch.update(x, layer(x)))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"penalty": -1}, "penalty of at least 0, got -1"),
        ({"penalty": "high"}, "a number as penalty"),
        ({"threshold_learning_rate": 0}, "above 0 as threshold_learning_rate"),
        ({"dense_fraction": 1.0}, "dense_fraction, got 1.0"),
        ({"kernel": "box"}, "kernels logistic, triangle, constant, got 'box'"),
        ({"rank": 0}, "rank, got 0"),
    ],
)
def test_bad_settings_are_explained(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidSpec, match=message):
        TS_LORA(**settings)
