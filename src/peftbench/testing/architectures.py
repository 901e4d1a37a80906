"""Does a method work on a model of this architecture? One pass over all that one can break.

The full checks of `conformance.py` run on a Llama. What another architecture may get wrong
is less: fused or transposed layers, biases, norms, learned positions, attention and MLP side
by side. This looks at that in a fraction of the time.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from peftbench.methods import Method
from peftbench.models import Shapes
from peftbench.testing import conformance as kit

if TYPE_CHECKING:
    from torch import nn

#: Padding before the second row when its continuation is generated.
_PADDING = 3


def works_on(method: Method, model_factory: kit.ModelFactory) -> str:
    """Attach, count, detach, train, generate, save, load and merge; says what it saw.

    Raises `AssertionError` where the method fails its promises on this architecture, and
    whatever the method or its library raises.
    """
    model = model_factory()
    before = kit._logits(model)
    expected = method.trainable_parameters(Shapes.of(model))
    adapted = kit._attached(method, model)
    _counts(adapted, expected)
    difference = kit._difference(kit._logits(adapted), before)
    same = difference <= kit._ROUNDING * kit._size(before)
    assert same == method.identity_at_start, (
        f"identity_at_start={method.identity_at_start}, and logits differ by {difference:.2g}"
    )
    model = method.detach(adapted)
    assert kit._same_bits(kit._logits(model), before), "the base's logits changed"

    adapted = kit._trained(method, model).eval()
    trained = kit._logits(adapted)
    change = kit._difference(trained, before)
    assert (change > 1e-3) == method.trains, f"training changed the logits by {change:.2g}"
    short = kit._logits(adapted, kit._tokens()[:, :5])
    kit._assert_close(short, trained[:, :5], kit._ROUNDING)
    _generates_what_it_computes(adapted)
    with tempfile.TemporaryDirectory() as folder:
        method.save(adapted, Path(folder))
        loaded = method.load(model_factory(), Path(folder))
    kit._assert_close(kit._logits(loaded), trained, kit._ROUNDING)
    if method.mergeable:
        merged = method.merge(loaded)
        kit._assert_close(kit._logits(merged), trained, kit._MERGED_ROUNDING)
    return f"{expected:,} trained parameters, logits move by {change:.2g}"


def _counts(adapted: nn.Module, expected: int) -> None:
    counted = sum(p.numel() for p in adapted.parameters() if p.requires_grad)
    assert counted == expected, (
        f"the closed form says {expected:,}, attached are {counted:,}"
    )


def _generates_what_it_computes(adapted: nn.Module) -> None:
    """Greedy decoding of a left-padded row is what repeated forward passes say."""
    tokens = kit._tokens()
    batch, mask = tokens.clone(), torch.ones_like(tokens)
    batch[1, :_PADDING], mask[1, :_PADDING] = 0, 0
    written = kit._generate(adapted, batch, mask)[1].tolist()
    ids = tokens[1:, _PADDING:]
    for _ in written:
        ids = torch.cat([ids, kit._logits(adapted, ids)[:, -1:].argmax(-1)], dim=1)
    expected = ids[0, tokens.shape[1] - _PADDING :].tolist()
    assert written == expected, (
        f"with {_PADDING} padding tokens it wrote {written}, forward passes say {expected}"
    )
