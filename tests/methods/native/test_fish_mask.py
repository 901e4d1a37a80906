"""FISH mask: the weights of largest Fisher information, by a slow count, and their update."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from torch import nn

from peftbench import methods
from peftbench.encoding.encode import Encoded
from peftbench.errors import InvalidSpec
from peftbench.methods._native.sparse import SparseUpdate, largest
from peftbench.models import Shapes
from peftbench.spec import Training
from peftbench.testing import TINY_MODELS, tiny_llama
from peftbench.training.data import TrainingData

ROWS = [
    Encoded(prompt=(5, 9, 33, 7), completion=(61, 20, 2)),
    Encoded(prompt=(44, 3), completion=(17, 2)),
    Encoded(prompt=(8, 14, 70, 6, 52), completion=(11, 2)),
]


def context() -> Any:
    training = Training(steps=4, batch_size=2, learning_rate=1e-2, validations=1)
    batches = [[0, 1], [2, 0]]
    return TrainingData(
        ROWS, batches, training, pad_id=0, device=torch.device("cpu")
    ).context


def chosen(adapted: Any) -> dict[str, list[int]]:
    return {
        name.partition(".native_parts")[0].removeprefix(
            "base_model.model."
        ): part.indices.tolist()
        for name, part in adapted.named_modules()
        if isinstance(part, SparseUpdate)
    }


def slow_fisher(model: Any, examples: int) -> dict[str, torch.Tensor]:
    """One example after the other, no padding, one token of its answer after the other."""
    layers = {s.name: model.get_submodule(s.name).weight for s in Shapes.of(model).linears}
    scores = {name: torch.zeros_like(weight) for name, weight in layers.items()}
    for row in [ROWS[0], ROWS[1], ROWS[2], ROWS[0]][:examples]:
        for weight in layers.values():
            weight.requires_grad_(True)
            weight.grad = None
        ids = [*row.prompt, *row.completion]
        log = model(torch.tensor([ids[:-1]])).logits[0].log_softmax(-1)
        first = len(row.prompt) - 1
        total = sum(log[first + i, target] for i, target in enumerate(row.completion))
        total.backward()
        for name, weight in layers.items():
            scores[name] += weight.grad.square()
    return scores


@pytest.mark.parametrize("model_type", ["llama", "gpt2"])
@pytest.mark.parametrize("examples", [2, 3])
def test_chosen_are_the_weights_of_largest_fisher_information(
    model_type: str, examples: int
) -> None:
    method = methods.get("fish-mask")(per_mille=10, examples=examples)
    adapted = method.attach_for(TINY_MODELS[model_type](), context())
    model = TINY_MODELS[model_type]()
    scores = slow_fisher(model, examples)
    if model_type == "gpt2":  # its layers keep W transposed
        scores = {name: score.t() for name, score in scores.items()}
    everything = torch.cat([score.flatten() for score in scores.values()])
    count = len(everything) * 10 // 1000
    least = everything.sort(descending=True).values[count - 1]
    expected = {
        name: (score.flatten() >= least).nonzero().flatten().tolist()
        for name, score in scores.items()
        if bool((score >= least).any())
    }
    assert chosen(adapted) == expected
    assert sum(map(len, expected.values())) == count


def test_choosing_leaves_the_base_as_it_was() -> None:
    model = tiny_llama()
    method = methods.get("fish-mask")()
    assert method.detach(method.attach_for(model, context())) is model
    assert not any(p.requires_grad or p.grad is not None for p in model.parameters())


def test_update_and_gradients_are_those_of_a_masked_matrix() -> None:
    torch.manual_seed(0)
    layer = nn.Linear(6, 5)
    part = SparseUpdate(layer, 4)
    part.indices.copy_(torch.tensor([1, 7, 12, 29]))
    nn.init.normal_(part.values)
    x = torch.randn(3, 6)
    out = part(layer, x)
    out.square().sum().backward()

    values = part.values.detach().clone().requires_grad_()
    rows = []
    for token in x:
        y = list(layer(token))
        for value, place in zip(values, (1, 7, 12, 29), strict=True):
            y[place // 6] = y[place // 6] + value * token[place % 6]
        rows.append(torch.stack(y))
    expected = torch.stack(rows)
    torch.testing.assert_close(out, expected, atol=1e-5, rtol=1e-5)
    expected.square().sum().backward()
    torch.testing.assert_close(part.values.grad, values.grad, atol=1e-5, rtol=1e-5)


def test_peft_opens_a_choice_made_from_data(tmp_path: Path) -> None:
    method = methods.get("fish-mask")(per_mille=20)
    adapted: Any = method.attach_for(tiny_llama(), context())
    with torch.no_grad():
        for parameter in adapted.parameters():
            if parameter.requires_grad:
                parameter.normal_()
    method.save(adapted, tmp_path)
    opened = peft.PeftModel.from_pretrained(tiny_llama(), tmp_path)
    assert chosen(opened) == chosen(adapted)
    tokens = torch.tensor([[5, 9, 33, 7]])
    torch.testing.assert_close(
        opened(input_ids=tokens).logits, adapted(input_ids=tokens).logits
    )


def test_without_data_the_largest_weights_are_taken() -> None:
    adapted = methods.get("fish-mask")(per_mille=3).attach(tiny_llama())
    model: Any = tiny_llama()
    found = chosen(adapted)
    inside = [
        model.get_submodule(n).weight.flatten()[p].abs().min() for n, p in found.items()
    ]
    every = torch.cat(
        [model.get_submodule(s.name).weight.flatten() for s in Shapes.of(model).linears]
    )
    count = sum(map(len, found.values()))
    assert min(inside) == every.abs().sort(descending=True).values[count - 1]


def test_without_values_every_layer_gets_its_share() -> None:
    scores = {f"{i}": torch.empty(10, 7 + i, device="meta") for i in range(3)}
    shared = largest(scores, 12)
    assert {name: len(places) for name, places in shared.items()} == {
        "0": 3,
        "1": 4,
        "2": 5,
    }


def test_settings_that_choose_nothing_or_too_much_are_refused() -> None:
    with pytest.raises(InvalidSpec, match="more than all weights"):
        methods.get("fish-mask")(per_mille=1001)
    sizes = {"num_attention_heads": 1, "num_key_value_heads": 1}
    tiny = tiny_llama(hidden_size=4, intermediate_size=4, **sizes)
    method = methods.get("fish-mask")(per_mille=1, target_modules=["k_proj"])
    with pytest.raises(InvalidSpec, match="few weights are none"):
        method.attach(tiny)
