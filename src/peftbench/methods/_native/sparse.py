"""Changes of single weights, and the choice of which."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.nn.functional import linear as matmul

from peftbench.methods._native import linear
from peftbench.methods._native.part import Additive, Tensor, like_parameters

if TYPE_CHECKING:
    from peftbench.methods._hook import RunContext


class SparseUpdate(Additive):
    """``W x + dW x`` with dW zero but for chosen entries, which start at zero.

    indices: (count,), places in W read row by row.
    """

    indices: Tensor

    def __init__(self, layer: nn.Module, count: int) -> None:
        super().__init__()
        self.size = linear.size_of(layer)
        self.values = nn.Parameter(torch.zeros(count))
        self.register_buffer("indices", torch.zeros(count, dtype=torch.int32))

    def matrix(self) -> Tensor:
        """dW: (d_out, d_in)."""
        flat = self.values.new_zeros(self.size[0] * self.size[1])
        return flat.index_put((self.indices.long(),), self.values).view(self.size)

    def update(self, x: Tensor, h: Tensor) -> Tensor:
        return matmul(like_parameters(x, self.values), self.matrix())

    def fold_into(self, layer: nn.Module) -> None:
        """Add dW to the weight."""
        linear.set_weight(layer, linear.weight_of(layer) + self.matrix())


def largest(scores: Mapping[str, Tensor], count: int) -> dict[str, Tensor]:
    """Places of the `count` largest scores of all layers together, by layer, ascending.

    Without values, on the meta device, every layer gets its share.
    """
    if any(score.is_meta for score in scores.values()):
        return _shared_out(scores, count)
    flat = torch.cat([score.flatten() for score in scores.values()])
    places = flat.topk(count).indices.sort().values
    chosen, start = {}, 0
    for name, score in scores.items():
        end = start + score.numel()
        inside = places[(places >= start) & (places < end)] - start
        if len(inside):
            chosen[name] = inside.to(torch.int32)
        start = end
    return chosen


def _shared_out(scores: Mapping[str, Tensor], count: int) -> dict[str, Tensor]:
    total, before, chosen = sum(score.numel() for score in scores.values()), 0, {}
    seen = 0
    for name, score in scores.items():
        seen += score.numel()
        upto = count * seen // total
        if upto > before:
            chosen[name] = torch.empty(upto - before, dtype=torch.int32, device="meta")
        before = upto
    return chosen


def fisher(
    model: Any, layers: Mapping[str, nn.Module], context: RunContext, examples: int
) -> dict[str, Tensor]:
    """Sum over training examples of the squared gradient of their log-likelihood, for every
    weight, (d_out, d_in); the labels are those of the data. The model is left as it was."""
    scores = {name: torch.zeros(linear.size_of(layer)) for name, layer in layers.items()}
    scores = {n: s.to(linear.weight_of(layers[n]).device) for n, s in scores.items()}
    was_training = model.training
    model.eval()
    weights = [layer.get_parameter("weight") for layer in layers.values()]
    required = [weight.requires_grad for weight in weights]
    for weight in weights:
        weight.requires_grad_(True)
    rows = (
        (batch.input_ids[i : i + 1], batch.answers[i : i + 1], targets)
        for batch in context.batches()
        for i, targets in enumerate(batch.targets.split(batch.answers.sum(1).tolist()))
    )
    for input_ids, answers, targets in islice(rows, examples):
        with torch.enable_grad():
            logits = model(input_ids=input_ids, use_cache=False).logits[answers]
            loss = cross_entropy(logits.float(), targets, reduction="sum")
            gradients = torch.autograd.grad(loss, weights)
        for (name, layer), gradient in zip(layers.items(), gradients, strict=True):
            scores[name] += linear.as_rows(layer, gradient).float().square()
    for weight, before in zip(weights, required, strict=True):
        weight.requires_grad_(before)
    model.train(was_training)
    return scores
