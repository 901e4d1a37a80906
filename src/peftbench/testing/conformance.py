"""What every method must keep, as plain functions.

    >>> from peftbench import methods
    >>> from peftbench.testing import check_method
    >>> all(finding.passed for finding in check_method(methods.get("lora")()))
    True

In a test suite, one check at a time:

    @pytest.mark.parametrize("check", CHECKS)
    def test_my_method(check: str) -> None:
        CHECKS[check](MyMethod(), tiny_llama)

A check raises `AssertionError` where the method fails, and otherwise says what it saw. A
`model_factory` returns a fresh base model with the same weights at every call.
"""

from __future__ import annotations

import gc
import tempfile
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import nn

from peftbench.encoding.encode import Encoded
from peftbench.errors import InvalidSpec
from peftbench.methods import Method
from peftbench.models import Shapes
from peftbench.spec import Training
from peftbench.testing.models import tiny_llama
from peftbench.training.data import TrainingData
from peftbench.training.run import Run

if TYPE_CHECKING:
    from transformers import PreTrainedModel

ModelFactory = Callable[[], "PreTrainedModel"]
Check = Callable[[Method, ModelFactory], str]

#: Rounding in float32, and that of a merged weight, as shares of the largest logit.
_ROUNDING, _MERGED_ROUNDING = 1e-5, 1e-4
#: Allowed beside 4 bytes per stored number: configs, and a header entry per tensor.
_OVERHEAD_BYTES, _OVERHEAD_BYTES_PER_TENSOR = 8192, 256


@dataclass(frozen=True)
class Finding:
    """What one check found."""

    check: str
    passed: bool
    detail: str


def check_method(method: Method, model_factory: ModelFactory = tiny_llama) -> list[Finding]:
    """Run every check; a failed one does not stop the others."""
    findings = []
    for name, check in CHECKS.items():
        try:
            findings.append(Finding(name, True, check(method, model_factory)))
        except Exception as error:
            findings.append(Finding(name, False, f"{type(error).__name__}: {error}"))
    return findings


def starts_as_declared(method: Method, model_factory: ModelFactory) -> str:
    """Untrained, it computes what the base computes, exactly if it says so."""
    model = model_factory()
    before = _logits(model)
    difference = _difference(_logits(_attached(method, model)), before)
    if method.identity_at_start:
        assert difference <= _ROUNDING * _size(before), (
            f"declared an identity at the start, but logits differ by {difference:.2g}"
        )
        return f"logits differ from the base's by {difference:.2g}"
    assert difference > 1e-3, (
        f"declared no identity at the start, but logits differ by only {difference:.2g}"
    )
    return f"starts away from the base by design: logits differ by {difference:.2g}"


def count_is_the_closed_form(method: Method, model_factory: ModelFactory) -> str:
    """`trainable_parameters` is what requires grad after `attach`, all of it float32."""
    model = model_factory()
    expected = method.trainable_parameters(Shapes.of(model))
    trained = _trainable(_attached(method, model))
    counted = sum(parameter.numel() for parameter in trained.values())
    assert counted == expected, (
        f"the closed form says {expected:,}, attached are {counted:,}"
    )
    other = {str(p.dtype) for p in trained.values() if p.dtype != torch.float32}
    assert not other, f"trained parameters must be float32, some are {', '.join(other)}"
    assert bool(counted) == method.trains, (
        f"{counted} parameters, and trains={method.trains}"
    )
    return f"{counted:,} trained parameters"


def only_the_adapter_trains(method: Method, model_factory: ModelFactory) -> str:
    """Ten steps of training move every trained tensor, and not one bit of anything else.

    A tensor with a bound, such as a threshold, may be pushed against it and stay, one that
    is pruned may come back to zero, and what a hook states as its own may change.
    """
    adapted = _attached(method, model_factory())
    trained = _trainable(adapted)
    before = {name: tensor.detach().clone() for name, tensor in _state(adapted).items()}
    run = _run(method, adapted, steps=10)
    pushed, remembered = _pushed(run), run.hook.state().keys() if run else set()
    after = _state(adapted)
    assert after.keys() == before.keys(), "training added or removed tensors"
    still = [n for n in trained.keys() - pushed if torch.equal(after[n], before[n])]
    assert not still, f"never moved: {', '.join(still)}"
    frozen = after.keys() - trained.keys() - remembered
    moved = [name for name in frozen if not _same_bits(after[name], before[name])]
    assert not moved, f"moved although frozen: {', '.join(sorted(moved))}"
    return f"{len(trained)} tensors moved, {len(after) - len(trained)} stayed"


def right_padding_changes_nothing(method: Method, model_factory: ModelFactory) -> str:
    """Logits do not depend on tokens to their right, and end where the input ends.

    Training batches are padded on the right and carry no attention mask, and the loop
    picks positions at the output layer.
    """
    adapted = _trained(method, model_factory()).eval()
    tokens = _tokens()
    long, short = _logits(adapted, tokens), _logits(adapted, tokens[:, :5])
    _assert_close(short, long[:, :5], _ROUNDING)
    seen: list[int] = []
    layer = cast("PreTrainedModel", adapted).get_output_embeddings()
    with _hook(
        layer.register_forward_pre_hook(lambda _, args: seen.append(args[0].shape[1]))
    ):
        positions = _raw_logits(adapted, tokens).shape[1]
    assert seen == [positions], (
        f"the output layer saw {seen}, logits have {positions} positions"
    )
    return f"{positions - tokens.shape[1]} virtual positions before the input"


def saved_is_what_was_trained(method: Method, model_factory: ModelFactory) -> str:
    """Saved and loaded onto another copy of the base, it gives the same logits, frozen."""
    model = model_factory()
    base = _logits(model)
    adapted = _trained(method, model).eval()
    trained = _logits(adapted)
    with tempfile.TemporaryDirectory() as folder:
        method.save(adapted, Path(folder))
        torch.testing.assert_close(_logits(adapted), trained, atol=0, rtol=0)
        torch.manual_seed(99)  # loading must not depend on the state of the generator
        loaded = method.load(model_factory(), Path(folder))
    assert not _trainable(loaded), "loaded for evaluation, but some parameters require grad"
    assert not any(part.training for part in loaded.modules()), "loaded in training mode"
    _assert_close(_logits(loaded), trained, _ROUNDING)
    change = _difference(trained, base)
    if method.trains:
        assert change > 1e-3, f"training changed the logits by only {change:.2g}"
    return f"loaded logits are the trained ones, {change:.2g} away from the base's"


def stores_only_what_it_needs(method: Method, model_factory: ModelFactory) -> str:
    """Files hold `stored_parameters` numbers of at most 4 bytes, and little else."""
    from safetensors import safe_open

    model = model_factory()
    expected = method.stored_parameters(Shapes.of(model))
    adapted = _attached(method, model)
    numbers = tensors = size = 0
    with tempfile.TemporaryDirectory() as folder:
        method.save(adapted, Path(folder))
        for path in Path(folder).rglob("*"):
            size += path.stat().st_size if path.is_file() else 0
            if path.suffix == ".safetensors":
                with safe_open(path, "pt") as file:
                    for name in file.keys():  # noqa: SIM118, not a mapping
                        numbers += file.get_tensor(name).numel()
                        tensors += 1
    assert numbers == expected, (
        f"the closed form says {expected:,} numbers, saved {numbers:,}"
    )
    allowed = 4 * numbers + _OVERHEAD_BYTES + _OVERHEAD_BYTES_PER_TENSOR * tensors
    assert size <= allowed, (
        f"{size:,} bytes for {numbers:,} numbers, {allowed:,} are enough"
    )
    return f"{size:,} bytes, {numbers:,} numbers in {tensors} tensors"


def merges_if_it_says_so(method: Method, model_factory: ModelFactory) -> str:
    """Merged equals unmerged, as a plain model; what cannot be merged refuses."""
    model = model_factory()
    kind = type(model)
    adapted = _trained(method, model).eval()
    if not method.mergeable:
        try:
            method.merge(adapted)
        except InvalidSpec:
            return "cannot be merged, and says so"
        raise AssertionError(
            "declared not mergeable, but `merge` does not raise InvalidSpec"
        )
    unmerged = _logits(adapted)
    merged = method.merge(adapted)
    assert type(merged) is kind, (
        f"merged is a {type(merged).__name__}, not a {kind.__name__}"
    )
    _assert_close(_logits(merged), unmerged, _MERGED_ROUNDING)
    return f"merged logits differ by {_difference(_logits(merged), unmerged):.2g}"


def detach_leaves_no_trace(method: Method, model_factory: ModelFactory) -> str:
    """Attached, trained, used and detached, the base is what it was, and nothing is kept."""
    model = model_factory()
    before, logits = _fingerprint(model), _logits(model)
    adapted = _trained(method, model)
    _generate(adapted.eval(), _tokens()[:, :4], torch.ones(2, 4, dtype=torch.long))
    kept = None if adapted is model else weakref.ref(adapted)
    returned = method.detach(adapted)
    del adapted
    assert returned is model, "`detach` returned another object than the base model"
    after = _fingerprint(model)
    for part, state in before.items():
        assert after[part] == state, f"the base's {part} changed"
    assert _same_bits(_logits(model), logits), "the base's logits changed"
    gc.collect()
    assert kept is None or kept() is None, "something still holds the adapted model"
    return f"{len(before['state'])} tensors and all attributes as before"


def same_seed_same_start(method: Method, model_factory: ModelFactory) -> str:
    """Attached twice after the same seed, it starts the same, also on a resident base."""
    model = model_factory()
    starts = []
    for _ in range(2):
        adapted = _attached(method, model)
        starts.append({name: p.detach().clone() for name, p in _trainable(adapted).items()})
        model = method.detach(adapted)
    first, second = starts
    assert first.keys() == second.keys(), "attached twice, it trains different tensors"
    different = [name for name in first if not _same_bits(first[name], second[name])]
    assert not different, f"differ after the same seed: {', '.join(different)}"
    return f"{len(first)} tensors start the same"


def batched_generation_is_generation(method: Method, model_factory: ModelFactory) -> str:
    """Greedy decoding of a left-padded batch writes what repeated forward passes write."""
    adapted = _trained(method, model_factory()).eval()
    tokens = _tokens()
    batch, mask = tokens.clone(), torch.ones_like(tokens)
    batch[1, :3], mask[1, :3] = 0, 0
    written = _generate(adapted, batch, mask)
    for row, start in enumerate((0, 3)):
        ids = tokens[row : row + 1, start:]
        for _ in range(written.shape[1]):
            ids = torch.cat([ids, _logits(adapted, ids)[:, -1:].argmax(-1)], dim=1)
        expected = ids[0, tokens.shape[1] - start :].tolist()
        assert written[row].tolist() == expected, (
            f"the row with {start} padding tokens wrote {written[row].tolist()}, forward "
            f"passes say {expected}"
        )
    return f"{written.numel()} tokens as forward passes say"


CHECKS: Mapping[str, Check] = {
    check.__name__: check
    for check in (
        starts_as_declared,
        count_is_the_closed_form,
        only_the_adapter_trains,
        right_padding_changes_nothing,
        saved_is_what_was_trained,
        stores_only_what_it_needs,
        merges_if_it_says_so,
        detach_leaves_no_trace,
        same_seed_same_start,
        batched_generation_is_generation,
    )
}


def _tokens() -> torch.Tensor:
    """Two rows of eight tokens, the second token the same: their prompts have one end."""
    return torch.tensor([[5, 9, 33, 7, 61, 20, 8, 14], [44, 9, 17, 25, 70, 6, 52, 11]])


def _data(device: torch.device, steps: int) -> TrainingData:
    """So many steps on the two rows, every token after the second a target."""
    rows = [Encoded(tuple(row[:2]), tuple(row[2:])) for row in _tokens().tolist()]
    training = Training(
        steps=steps,
        batch_size=len(rows),
        learning_rate=1e-2,
        scheduler="constant",
        warmup_fraction=0,
        max_grad_norm=None,
    )
    batches = [list(range(len(rows)))] * steps
    return TrainingData(rows, batches, training, pad_id=0, device=device)


def _attached(method: Method, model: PreTrainedModel, steps: int = 10) -> nn.Module:
    """`model` with `method` on it as a run of `steps` steps attaches it."""
    torch.manual_seed(7)
    return method.attach_for(model, _data(model.device, steps).context)


def _trained(method: Method, model: PreTrainedModel) -> nn.Module:
    return _train(method, _attached(method, model, steps=3), steps=3)


def _train(method: Method, adapted: nn.Module, steps: int) -> nn.Module:
    """`adapted` after so many steps of the loop that all runs go through."""
    if _trainable(adapted):
        _run(method, adapted, steps)
    return adapted


def _run(method: Method, adapted: nn.Module, steps: int) -> Run | None:
    """A run of so many steps, gone to its end; None where nothing is trained."""
    trained = _trainable(adapted)
    if not trained:
        return None
    data = _data(next(iter(trained.values())).device, steps)
    run = Run(adapted, data, hook=method.hook(adapted, data.context))
    for _ in range(steps):
        run.step()
    return run


def _pushed(run: Run | None) -> set[str]:
    """Names of what the optimiser pushed: AdamW's mean gradient is not zero."""
    if run is None:
        return set()
    means = {n: run.optimizer.state[p].get("exp_avg") for n, p in run.parameters.items()}
    return {name for name, mean in means.items() if mean is not None and bool(mean.any())}


def _trainable(model: nn.Module) -> dict[str, nn.Parameter]:
    return {name: p for name, p in model.named_parameters() if p.requires_grad}


def _state(model: nn.Module) -> dict[str, torch.Tensor]:
    """Every parameter and buffer, those that are not saved included."""
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


def _raw_logits(model: nn.Module, tokens: torch.Tensor) -> torch.Tensor:
    device = next(model.parameters()).device
    return cast("torch.Tensor", model(input_ids=tokens.to(device), use_cache=False).logits)


@torch.no_grad()
def _logits(model: nn.Module, tokens: torch.Tensor | None = None) -> torch.Tensor:
    """Logits of the input's positions, in evaluation mode; the mode is restored."""
    tokens = _tokens() if tokens is None else tokens
    modes = {part: part.training for part in model.modules()}
    model.eval()
    logits = _raw_logits(model, tokens)[:, -tokens.shape[1] :].clone()
    for part, training in modes.items():
        part.training = training
    return logits


def _generate(model: nn.Module, tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    device = next(model.parameters()).device
    written = cast("Any", model).generate(
        input_ids=tokens.to(device),
        attention_mask=mask.to(device),
        max_new_tokens=5,
        do_sample=False,
        pad_token_id=0,
        eos_token_id=None,
    )
    return cast("torch.Tensor", written[:, tokens.shape[1] :]).cpu()


def _size(logits: torch.Tensor) -> float:
    """The largest logit, at least 1: what rounding is a share of."""
    return max(1.0, float(logits.float().abs().max()))


def _assert_close(found: torch.Tensor, expected: torch.Tensor, share: float) -> None:
    difference = _difference(found, expected)
    assert difference <= share * _size(expected), (
        f"logits differ by {difference:.2g}, the largest is {_size(expected):.3g}"
    )


def _difference(one: torch.Tensor, other: torch.Tensor) -> float:
    return float((one.float() - other.float()).abs().max())


def _same_bits(one: torch.Tensor, other: torch.Tensor) -> bool:
    return one.dtype == other.dtype and torch.equal(
        one.detach().flatten().view(torch.uint8), other.detach().flatten().view(torch.uint8)
    )


def _fingerprint(model: PreTrainedModel) -> dict[str, Any]:
    """All that `detach` must bring back."""
    return {
        "modules": [(name, type(part).__name__) for name, part in model.named_modules()],
        "attributes": {name: sorted(vars(part)) for name, part in model.named_modules()},
        "hooks": {name: _hook_count(part) for name, part in model.named_modules()},
        "mode": {name: part.training for name, part in model.named_modules()},
        "config": model.config.to_dict(),
        "requires_grad": {name: p.requires_grad for name, p in model.named_parameters()},
        "gradients": {name: p.grad is None for name, p in model.named_parameters()},
        "state": {
            name: (tensor.dtype, tensor.detach().float().cpu().numpy().tobytes())
            for name, tensor in _state(model).items()
        },
    }


def _hook_count(part: nn.Module) -> int:
    return (
        len(part._forward_hooks) + len(part._forward_pre_hooks) + len(part._backward_hooks)
    )


@contextmanager
def _hook(handle: torch.utils.hooks.RemovableHandle) -> Iterator[None]:
    try:
        yield
    finally:
        handle.remove()
