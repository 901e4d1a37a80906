"""Does a method work on a model of this architecture? One pass over all that one can break.

The full checks of `conformance.py` run on a Llama. What another architecture may get wrong
is less: fused or transposed layers, biases, norms, learned positions, attention and MLP side
by side. This looks at that in a fraction of the time.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from peftbench.encoding.rounding import difference
from peftbench.methods import Method
from peftbench.models import Shapes
from peftbench.testing import trial
from peftbench.training.seeds import trainable


def works_on(method: Method, model_factory: trial.ModelFactory) -> str:
    """Attach, count, detach, train, generate, save, load and merge; says what it saw.

    Raises `AssertionError` where the method fails its promises on this architecture, and
    whatever the method or its library raises.
    """
    model = model_factory()
    before, allowed = trial.logits(model), trial.allowed(model)
    expected = method.trainable_parameters(Shapes.of(model))
    adapted = trial.attached(method, model)
    counted = sum(parameter.numel() for parameter in trainable(adapted).values())
    assert counted == expected, (
        f"the closed form says {expected:,}, attached are {counted:,}"
    )
    apart = difference(trial.logits(adapted), before)
    assert (apart <= allowed) == method.identity_at_start, (
        f"identity_at_start={method.identity_at_start}, and logits differ by {apart:.2g}"
    )
    model = method.detach(adapted)
    assert trial.same_bits(trial.logits(model), before), "the base's logits changed"

    adapted = trial.trained(method, model).eval()
    trained = trial.logits(adapted)
    change = trial.assert_changed(trained, before, method)
    short = trial.logits(adapted, trial.tokens()[:, :5])
    trial.assert_same(short, trained[:, :5], allowed)
    trial.assert_writes_what_it_computes(adapted)
    with tempfile.TemporaryDirectory() as folder:
        method.save(adapted, Path(folder))
        loaded = method.load(model_factory(), Path(folder))
    trial.assert_same(trial.logits(loaded), trained, allowed)
    if method.mergeable:
        merged = trial.logits(method.merge(loaded))
        trial.assert_same(merged, trained, trial.MERGED * allowed)
    return f"{expected:,} trained parameters, logits move by {change:.2g}"
