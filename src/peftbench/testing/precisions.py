"""Does a method work on weights of 16 bits? All it does there, in each of both types.

What is trained stays float32, and the type of the base must not leak into it, nor it into the
base: in a step with autocast and without, in evaluation, which has none, and after merging.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from peftbench.encoding.rounding import NARROW, difference
from peftbench.methods import Method
from peftbench.testing import trial
from peftbench.training.seeds import trainable

if TYPE_CHECKING:
    from transformers import PreTrainedModel

#: Units in the last place of a merged weight, as a root mean square. One rounding of the sum is a
#: third of one; FRoD, whose weight is a product of three factors in the type of the base, has
#: five on a Qwen 2.
_MERGED = 8


def works_in_bfloat16(method: Method, model_factory: trial.ModelFactory) -> str:
    """On weights in bfloat16, and with steps under autocast, everything still works."""
    return trial.holds(
        method, "bfloat16", lambda: works_in(method, model_factory, "bfloat16")
    )


def works_in_float16(method: Method, model_factory: trial.ModelFactory) -> str:
    """On weights in float16, everything still works."""
    return trial.holds(
        method, "float16", lambda: works_in(method, model_factory, "float16")
    )


def works_in(method: Method, model_factory: trial.ModelFactory, precision: str) -> str:
    """Attach, train, evaluate, generate, save, load, detach and merge, on weights in
    `precision`, "bfloat16" or "float16"; says what it saw.

    Raises `AssertionError` where the method fails its promises, and whatever the method or
    its library raises.
    """
    dtype = NARROW[precision]

    def narrow() -> PreTrainedModel:
        return model_factory().to(dtype)

    model = narrow()
    weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    base, allowed = trial.logits_in_float32(model), trial.allowed(model)
    adapted = trial.attached(method, model, steps=3)
    kinds = {str(p.dtype) for p in trainable(adapted).values()}
    assert kinds <= {"torch.float32"}, f"trained are {kinds}, and must be float32"
    if method.identity_at_start:  # of a base that is changed, what its type can hold
        start = trial.logits_in_float32(adapted)
        trial.assert_same(start, base, trial.allowed(model, dtype))
    if dtype == torch.bfloat16:  # the type of autocast, for weights of either
        trial.trained(method, model_factory(), "bfloat16")
        trial.run(method, adapted, 3, "bfloat16")
    trial.run(method, adapted, 3)
    adapted.eval()
    trained = trial.logits_in_float32(adapted)
    trial.assert_changed(trained, base, method)
    held = trial.logits(adapted)
    trial.assert_same(held, trained, trial.allowed(adapted, dtype))
    trial.assert_writes_what_it_computes(adapted, dtype)
    with tempfile.TemporaryDirectory() as folder:
        method.save(adapted, Path(folder))
        _saved_whole(Path(folder))
        _gives_back(method.detach(adapted), weights)
        loaded = method.load(narrow(), Path(folder))
        trial.assert_same(trial.logits_in_float32(loaded), trained, allowed)
        if method.mergeable:
            merged = method.merge(loaded)
            _is_merged(
                merged, method.merge(method.load(narrow().float(), Path(folder))), dtype
            )
            whole = trial.logits_in_float32(merged)
            trial.assert_same(trial.logits(merged), whole, trial.allowed(merged, dtype))
    noise = difference(held, trained)
    return f"logits differ by {noise:.2g} from those in float32"


def _saved_whole(folder: Path) -> None:
    """What is trained is kept in float32. Places of sparse entries are whole numbers, and what
    a method has switched off is zero in any type."""
    from safetensors.torch import load_file

    files = [load_file(path) for path in folder.rglob("*.safetensors")]
    tensors = [t for file in files for t in file.values() if t.is_floating_point()]
    kinds = {str(t.dtype) for t in tensors if t.any()}
    assert kinds <= {"torch.float32"}, f"saved are {kinds}, and must be float32"


def _gives_back(model: PreTrainedModel, weights: dict[str, torch.Tensor]) -> None:
    found = model.state_dict()
    assert found.keys() == weights.keys(), "`detach` left tensors, or took some"
    changed = [n for n, tensor in weights.items() if not trial.same_bits(found[n], tensor)]
    assert not changed, f"changed after `detach`: {', '.join(changed)}"


def _is_merged(merged: PreTrainedModel, exact: PreTrainedModel, dtype: torch.dtype) -> None:
    """The weights are those of a merge in float32, rounded to their type."""
    kinds = {str(p.dtype) for p in merged.parameters()}
    assert kinds == {str(dtype)}, f"merged, a model in {dtype} has weights in {kinds}"
    expected = exact.state_dict()
    for name, tensor in merged.state_dict().items():
        apart = float((tensor.float() - expected[name].float()).norm())
        size = float(expected[name].float().norm())
        assert apart <= _MERGED * torch.finfo(dtype).eps * size, (
            f"merged, {name} is {apart / size:.2g} away from a merge in float32"
        )
