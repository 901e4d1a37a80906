"""A method tried on a model small enough for a test: what the checks of methods share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import nn

from peftbench.encoding.encode import Encoded
from peftbench.encoding.rounding import difference, in_float32, rounding
from peftbench.methods import Method
from peftbench.spec import Training
from peftbench.spec.benchmark import Precision
from peftbench.training.data import TrainingData
from peftbench.training.run import Run
from peftbench.training.seeds import trainable

if TYPE_CHECKING:
    from transformers import PreTrainedModel

ModelFactory = Callable[[], "PreTrainedModel"]

#: Padding before the second row when its continuation is generated.
_PADDING = 3
#: A merged weight is rounded where both its parts were, and an update may be far larger than
#: what is left of both: so many times `rounding`.
MERGED = 10
#: Least `difference` that a few steps of training make in any method.
_TRAINED = 1e-3


def tokens() -> torch.Tensor:
    """Two rows of eight tokens, the second token the same: their prompts have one end."""
    return torch.tensor([[5, 9, 33, 7, 61, 20, 8, 14], [44, 9, 17, 25, 70, 6, 52, 11]])


def data(
    device: torch.device, steps: int, precision: Precision = "float32"
) -> TrainingData:
    """So many steps on the two rows, every token after the second a target."""
    rows = [Encoded(tuple(row[:2]), tuple(row[2:])) for row in tokens().tolist()]
    training = Training(
        steps=steps,
        batch_size=len(rows),
        learning_rate=1e-2,
        scheduler="constant",
        warmup_fraction=0,
        max_grad_norm=None,
        precision=precision,
    )
    batches = [list(range(len(rows)))] * steps
    return TrainingData(rows, batches, training, pad_id=0, device=device)


def attached(method: Method, model: PreTrainedModel, steps: int = 10) -> nn.Module:
    """`model` with `method` on it as a run of `steps` steps attaches it."""
    torch.manual_seed(7)
    return method.attach_for(model, data(model.device, steps).context)


def trained(
    method: Method, model: PreTrainedModel, precision: Precision = "float32"
) -> nn.Module:
    """`model` with `method` on it after three steps, in training mode."""
    adapted = attached(method, model, steps=3)
    run(method, adapted, 3, precision)
    return adapted


def run(
    method: Method, adapted: nn.Module, steps: int, precision: Precision = "float32"
) -> Run | None:
    """So many steps of the loop that all runs go through; None where nothing is trained."""
    parameters = trainable(adapted)
    if not parameters:
        return None
    planned = data(next(iter(parameters.values())).device, steps, precision)
    made = Run(adapted, planned, hook=method.hook(adapted, planned.context))
    for _ in range(steps):
        made.step()
    return made


def pushed(made: Run | None) -> set[str]:
    """Names of what the optimiser pushed: AdamW's mean gradient is not zero."""
    if made is None:
        return set()
    means = {n: made.optimizer.state[p].get("exp_avg") for n, p in made.parameters.items()}
    return {name for name, mean in means.items() if mean is not None and bool(mean.any())}


def state(model: nn.Module) -> dict[str, torch.Tensor]:
    """Every parameter and buffer, those that are not saved included."""
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


def raw_logits(model: nn.Module, ids: torch.Tensor) -> torch.Tensor:
    """Logits of all positions, also of those that a soft prompt adds."""
    device = next(model.parameters()).device
    return cast("torch.Tensor", model(input_ids=ids.to(device), use_cache=False).logits)


@torch.no_grad()
def logits(model: nn.Module, ids: torch.Tensor | None = None) -> torch.Tensor:
    """Logits of the input's positions, in evaluation mode; the mode is restored."""
    ids = tokens() if ids is None else ids
    modes = {part: part.training for part in model.modules()}
    model.eval()
    found = raw_logits(model, ids)[:, -ids.shape[1] :].clone()
    for part, training in modes.items():
        part.training = training
    return found


def logits_in_float32(model: nn.Module) -> torch.Tensor:
    """`logits`, with what 16 bits would round away."""
    with in_float32():
        return logits(model)


def allowed(model: nn.Module, dtype: torch.dtype = torch.float32) -> float:
    """`rounding` of this model's logits."""
    layers: int = cast("Any", model).config.num_hidden_layers
    return rounding(layers, dtype)


def assert_same(found: torch.Tensor, expected: torch.Tensor, share: float) -> None:
    """Logits are those of one computation: no further apart than `share`, see `allowed`."""
    apart = difference(found, expected)
    assert apart <= share, (
        f"logits differ by {apart:.2g} of their size, and rounding explains {share:.2g}"
    )


def assert_changed(found: torch.Tensor, base: torch.Tensor, method: Method) -> float:
    """Training has changed the logits, where the method trains; returns by how much."""
    change = difference(found, base)
    assert (change > _TRAINED) == method.trains, (
        f"training changed the logits by {change:.2g} of their size, and "
        f"trains={method.trains}"
    )
    return change


def assert_writes_what_it_computes(
    adapted: nn.Module, dtype: torch.dtype = torch.float32
) -> int:
    """Greedy decoding of a left-padded batch is what a forward pass says, with a cache and
    without; returns the number of tokens compared."""
    batch, mask = tokens(), torch.ones_like(tokens())
    batch[1, :_PADDING], mask[1, :_PADDING] = 0, 0
    written = generate(adapted, batch, mask)
    for row, start in enumerate((0, _PADDING)):
        ids = torch.cat([tokens()[row, start:], written[row]])
        said = logits(adapted, ids[None])[0, -1 - written.shape[1] : -1].float().cpu()
        chosen = said.gather(1, written[row, :, None])[:, 0]
        short = float((said.amax(1) - chosen).max() / said.abs().max())
        assert short <= allowed(adapted, dtype), (
            f"the row with {start} padding tokens wrote {written[row].tolist()}, a forward "
            f"pass says {said.argmax(1).tolist()}"
        )
    return written.numel()


def generate(model: nn.Module, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The five tokens that greedy decoding writes after each row."""
    device = next(model.parameters()).device
    written = cast("Any", model).generate(
        input_ids=ids.to(device),
        attention_mask=mask.to(device),
        max_new_tokens=5,
        do_sample=False,
        pad_token_id=0,
        eos_token_id=None,
    )
    return cast("torch.Tensor", written[:, ids.shape[1] :]).cpu()


def holds(method: Method, kind: str, check: Callable[[], str]) -> str:
    """What `check` sees of `method` on a model of this `kind`, a model type or a precision.

    Where the method says that it cannot adapt such a model, `check` has to fail.
    """
    reason = method.unsupported.get(kind)
    if reason is None:
        return check()
    try:
        check()
    except Exception:
        return f"declared not to work: {reason}"
    raise AssertionError(f"declared not to work ({reason}), and it does")


def same_bits(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Not a number is the same as itself, and 0 is not -0."""
    return one.dtype == other.dtype and torch.equal(
        one.detach().flatten().view(torch.uint8), other.detach().flatten().view(torch.uint8)
    )


def fingerprint(model: PreTrainedModel) -> dict[str, Any]:
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
            for name, tensor in state(model).items()
        },
    }


def _hook_count(part: nn.Module) -> int:
    return (
        len(part._forward_hooks) + len(part._forward_pre_hooks) + len(part._backward_hooks)
    )


@contextmanager
def hook(handle: torch.utils.hooks.RemovableHandle) -> Iterator[None]:
    """Removed at the end."""
    try:
        yield
    finally:
        handle.remove()
