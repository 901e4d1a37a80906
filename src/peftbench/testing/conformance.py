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
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import torch

from peftbench.encoding.rounding import difference
from peftbench.errors import InvalidSpec
from peftbench.methods import Method
from peftbench.models import Shapes
from peftbench.testing import trial
from peftbench.testing.models import tiny_llama
from peftbench.testing.precisions import works_in_bfloat16, works_in_float16
from peftbench.testing.trial import ModelFactory
from peftbench.training.checkpointing import gradient_checkpointing
from peftbench.training.seeds import seed_everything, trainable

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Check = Callable[[Method, ModelFactory], str]

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
    before = trial.logits(model)
    apart = difference(trial.logits(trial.attached(method, model)), before)
    if method.identity_at_start:
        assert apart <= trial.allowed(model), (
            f"declared an identity at the start, but logits differ by {apart:.2g}"
        )
        return f"logits differ from the base's by {apart:.2g}"
    assert apart > trial.allowed(model), (
        f"declared no identity at the start, but logits differ by only {apart:.2g}"
    )
    return f"starts away from the base by design: logits differ by {apart:.2g}"


def count_is_the_closed_form(method: Method, model_factory: ModelFactory) -> str:
    """`trainable_parameters` is what requires grad after `attach`, all of it float32."""
    model = model_factory()
    expected = method.trainable_parameters(Shapes.of(model))
    trained = trainable(trial.attached(method, model))
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
    adapted = trial.attached(method, model_factory())
    trained = trainable(adapted)
    before = {
        name: tensor.detach().clone() for name, tensor in trial.state(adapted).items()
    }
    run = trial.run(method, adapted, steps=10)
    pushed, remembered = trial.pushed(run), run.hook.state().keys() if run else set()
    after = trial.state(adapted)
    assert after.keys() == before.keys(), "training added or removed tensors"
    still = [n for n in trained.keys() - pushed if torch.equal(after[n], before[n])]
    assert not still, f"never moved: {', '.join(still)}"
    frozen = after.keys() - trained.keys() - remembered
    moved = [name for name in frozen if not trial.same_bits(after[name], before[name])]
    assert not moved, f"moved although frozen: {', '.join(sorted(moved))}"
    return f"{len(trained)} tensors moved, {len(after) - len(trained)} stayed"


def right_padding_changes_nothing(method: Method, model_factory: ModelFactory) -> str:
    """Logits do not depend on tokens to their right, and end where the input ends.

    Training batches are padded on the right and carry no attention mask, and the loop
    picks positions at the output layer.
    """
    adapted = trial.trained(method, model_factory()).eval()
    tokens = trial.tokens()
    long, short = trial.logits(adapted, tokens), trial.logits(adapted, tokens[:, :5])
    trial.assert_same(short, long[:, :5], trial.allowed(adapted))
    seen: list[int] = []
    layer = cast("PreTrainedModel", adapted).get_output_embeddings()
    with trial.hook(
        layer.register_forward_pre_hook(lambda _, args: seen.append(args[0].shape[1]))
    ):
        positions = trial.raw_logits(adapted, tokens).shape[1]
    assert seen == [positions], (
        f"the output layer saw {seen}, logits have {positions} positions"
    )
    return f"{positions - tokens.shape[1]} virtual positions before the input"


def saved_is_what_was_trained(method: Method, model_factory: ModelFactory) -> str:
    """Saved and loaded onto another copy of the base, it gives the same logits, frozen."""
    model = model_factory()
    base = trial.logits(model)
    adapted = trial.trained(method, model).eval()
    trained = trial.logits(adapted)
    with tempfile.TemporaryDirectory() as folder:
        method.save(adapted, Path(folder))
        torch.testing.assert_close(trial.logits(adapted), trained, atol=0, rtol=0)
        torch.manual_seed(99)  # loading must not depend on the state of the generator
        loaded = method.load(model_factory(), Path(folder))
    assert not trainable(loaded), "loaded for evaluation, but some parameters require grad"
    assert not any(part.training for part in loaded.modules()), "loaded in training mode"
    trial.assert_same(trial.logits(loaded), trained, trial.allowed(loaded))
    change = trial.assert_changed(trained, base, method)
    return f"loaded logits are the trained ones, {change:.2g} away from the base's"


def stores_only_what_it_needs(method: Method, model_factory: ModelFactory) -> str:
    """Files hold `stored_parameters` numbers of at most 4 bytes, and little else."""
    from safetensors import safe_open

    model = model_factory()
    expected = method.stored_parameters(Shapes.of(model))
    adapted = trial.attached(method, model)
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
    adapted = trial.trained(method, model).eval()
    if not method.mergeable:
        try:
            method.merge(adapted)
        except InvalidSpec:
            return "cannot be merged, and says so"
        raise AssertionError(
            "declared not mergeable, but `merge` does not raise InvalidSpec"
        )
    unmerged = trial.logits(adapted)
    merged = method.merge(adapted)
    assert type(merged) is kind, (
        f"merged is a {type(merged).__name__}, not a {kind.__name__}"
    )
    trial.assert_same(trial.logits(merged), unmerged, trial.MERGED * trial.allowed(merged))
    return f"merged logits differ by {difference(trial.logits(merged), unmerged):.2g}"


def detach_leaves_no_trace(method: Method, model_factory: ModelFactory) -> str:
    """Attached, trained, used and detached, the base is what it was, and nothing is kept."""
    model = model_factory()
    before, logits = trial.fingerprint(model), trial.logits(model)
    adapted = trial.trained(method, model)
    trial.generate(
        adapted.eval(), trial.tokens()[:, :4], torch.ones(2, 4, dtype=torch.long)
    )
    kept = None if adapted is model else weakref.ref(adapted)
    returned = method.detach(adapted)
    del adapted
    assert returned is model, "`detach` returned another object than the base model"
    after = trial.fingerprint(model)
    for part, state in before.items():
        assert after[part] == state, f"the base's {part} changed"
    assert trial.same_bits(trial.logits(model), logits), "the base's logits changed"
    gc.collect()
    assert kept is None or kept() is None, "something still holds the adapted model"
    return f"{len(before['state'])} tensors and all attributes as before"


def same_seed_same_start(method: Method, model_factory: ModelFactory) -> str:
    """Attached twice after the same seed, it starts the same, also on a resident base."""
    model = model_factory()
    starts = []
    for _ in range(2):
        adapted = trial.attached(method, model)
        starts.append({name: p.detach().clone() for name, p in trainable(adapted).items()})
        model = method.detach(adapted)
    first, second = starts
    assert first.keys() == second.keys(), "attached twice, it trains different tensors"
    different = [name for name in first if not trial.same_bits(first[name], second[name])]
    assert not different, f"differ after the same seed: {', '.join(different)}"
    return f"{len(first)} tensors start the same"


def recomputes_if_it_says_so(method: Method, model_factory: ModelFactory) -> str:
    """With gradient checkpointing the gradients are the same, where it goes with that."""
    if not method.trains or not method.recomputes:
        return "nothing is recomputed"
    found = []
    for enabled in (False, True):
        adapted = trial.attached(method, model_factory()).train()
        seed_everything(0)  # of dropout
        with gradient_checkpointing(adapted, enabled=enabled):
            adapted(input_ids=trial.tokens(), use_cache=False).logits.sum().backward()
        found.append({name: p.grad for name, p in trainable(adapted).items()})
    for name, gradient in found[0].items():
        torch.testing.assert_close(found[1][name], gradient, msg=name)
    return f"{len(found[0])} gradients as without"


def batched_generation_is_generation(method: Method, model_factory: ModelFactory) -> str:
    """Greedy decoding of a left-padded batch writes what forward passes say."""
    adapted = trial.trained(method, model_factory()).eval()
    return f"{trial.assert_writes_what_it_computes(adapted)} tokens as forward passes say"


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
        recomputes_if_it_says_so,
        batched_generation_is_generation,
        works_in_bfloat16,
        works_in_float16,
    )
}
