"""The prompt that was trained is the one that is loaded and answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from peftbench import methods
from peftbench.errors import ModelError
from peftbench.methods import Method
from peftbench.testing import tiny_llama

TOKENS = torch.tensor([[5, 9, 33, 7, 61]])


def prompt_of(adapted: Any) -> torch.Tensor:
    prompt: torch.Tensor = adapted.get_prompt(batch_size=1)[0].detach()
    return prompt


@pytest.fixture
def method() -> Method:
    return methods.get("prompt-tuning")(num_virtual_tokens=4)


def test_starts_at_vocabulary_embeddings_drawn_by_the_global_generator(
    method: Method,
) -> None:
    model = tiny_llama()
    vocabulary = model.get_input_embeddings().weight
    torch.manual_seed(5)
    first = prompt_of(method.attach(model)).clone()
    assert all((vocabulary == row).all(dim=1).any() for row in first)
    torch.manual_seed(5)
    assert torch.equal(prompt_of(method.attach(tiny_llama())), first)
    torch.manual_seed(6)
    assert not torch.equal(prompt_of(method.attach(tiny_llama())), first)


def test_loaded_prompt_is_the_trained_one(method: Method, tmp_path: Path) -> None:
    """Sampling the vocabulary again after loading scores a prompt nobody trained: see
    the evaluation code behind arXiv:2511.21285."""
    torch.manual_seed(5)
    adapted = method.attach(tiny_llama())
    untrained = prompt_of(adapted).clone()
    with torch.no_grad():
        adapted.prompt_encoder.default.embedding.weight.normal_()  # type: ignore[union-attr]
    trained = prompt_of(adapted).clone()
    method.save(adapted, tmp_path)
    torch.manual_seed(5)  # the generator is where it was when the prompt was drawn
    loaded = method.load(tiny_llama(), tmp_path)
    assert torch.equal(prompt_of(loaded), trained)
    assert not torch.equal(prompt_of(loaded), untrained)
    assert torch.equal(
        load_file(tmp_path / "adapter_model.safetensors")["prompt_embeddings"], trained
    )


def test_loaded_prompt_answers(method: Method, tmp_path: Path) -> None:
    adapted = method.attach(tiny_llama())
    with torch.no_grad():
        adapted.prompt_encoder.default.embedding.weight.normal_()  # type: ignore[union-attr]
    method.save(adapted, tmp_path)
    loaded = method.load(tiny_llama(), tmp_path)
    torch.testing.assert_close(loaded(TOKENS).logits, adapted(TOKENS).logits)


def test_prompt_of_another_length_is_refused_and_leaves_the_base_clean(
    method: Method, tmp_path: Path
) -> None:
    method.save(method.attach(tiny_llama()), tmp_path)
    wider = tiny_llama(hidden_size=64)
    attributes = set(vars(wider))
    with pytest.raises(ModelError, match="does not fit"):
        method.load(wider, tmp_path)
    assert set(vars(wider)) == attributes


def test_logits_have_the_virtual_tokens_at_the_front(method: Method) -> None:
    adapted = method.attach(tiny_llama())
    assert adapted(TOKENS).logits.shape[1] == 4 + TOKENS.shape[1]
