"""On a bfloat16 base, adapters are float32 and everything still works."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from peftbench import methods
from peftbench.testing import tiny_llama

TOKENS = torch.tensor([[5, 9, 33, 7, 61, 20, 8, 14], [44, 3, 17, 25, 70, 6, 52, 11]])


@pytest.mark.parametrize("name", methods.names())
def test_bfloat16_base_with_float32_adapter(name: str, tmp_path: Path) -> None:
    model = tiny_llama().to(torch.bfloat16)
    before = {n: tensor.clone() for n, tensor in model.state_dict().items()}
    base = model(TOKENS).logits.detach()
    method = methods.get(name)()
    adapted = method.attach(model)
    trained = [p for p in adapted.parameters() if p.requires_grad]
    assert {p.dtype for p in trained} <= {torch.float32}

    start = adapted(input_ids=TOKENS, use_cache=False).logits
    if method.identity_at_start:
        # Exactly, where a method adds to the base's outputs; some compute their weights
        # anew, which then differ by bfloat16's rounding.
        assert (start - base).abs().max() <= 2**-3 * base.abs().max()
    if method.trains:
        optimizer = torch.optim.AdamW(trained, lr=1e-2)
        for _ in range(3):
            optimizer.zero_grad()
            adapted(input_ids=TOKENS, use_cache=False).logits.float().logsumexp(
                -1
            ).mean().backward()
            optimizer.step()
    adapted.eval()
    with torch.no_grad():  # as it is evaluated: gradients can choose another kernel
        after = adapted(input_ids=TOKENS).logits
    written = adapted.generate(  # type: ignore[operator]
        input_ids=TOKENS,
        attention_mask=torch.ones_like(TOKENS),
        max_new_tokens=3,
        do_sample=False,
        pad_token_id=0,
    )
    assert written.shape[0] == 2

    method.save(adapted, tmp_path)
    stored = [load_file(path) for path in tmp_path.glob("*.safetensors")]
    kinds = {t.dtype for file in stored for t in file.values() if t.any()}
    assert kinds <= {
        torch.float32,
        torch.int32,
    }  # places of sparse entries are whole numbers
    model = method.detach(adapted)
    assert all(torch.equal(before[n], tensor) for n, tensor in model.state_dict().items())
    loaded = method.load(model, tmp_path)
    with torch.no_grad():
        torch.testing.assert_close(loaded(input_ids=TOKENS).logits, after, atol=0, rtol=0)
    assert torch.equal(method.detach(loaded)(TOKENS).logits, base)


#: Its update's Fourier transform is rounded to bfloat16 another way when it is merged.
ROUNDS_MORE = pytest.mark.xfail(strict=False, reason="merging rounds in bfloat16")


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=ROUNDS_MORE) if name == "fourierft" else name
        for name in methods.names()
        if methods.get(name).mergeable
    ],
)
def test_merged_bfloat16_base_stays_bfloat16(name: str) -> None:
    model = tiny_llama().to(torch.bfloat16)
    method = methods.get(name)()
    adapted = method.attach(model)
    expected = adapted(input_ids=TOKENS).logits.float()
    merged = method.merge(adapted)
    assert {p.dtype for p in merged.parameters()} == {torch.bfloat16}
    torch.testing.assert_close(merged(TOKENS).logits.float(), expected, atol=0.5, rtol=0.1)


def test_layer_norm_models_keep_their_precision() -> None:
    """A LayerNorm kernel wants weights and activations of one precision."""
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(vocab_size=96, n_embd=32, n_layer=2, n_head=4, n_positions=64)
    model = GPT2LMHeadModel(config).to(torch.bfloat16).eval().requires_grad_(False)
    base = model(TOKENS).logits
    method = methods.get("ln-tuning")()
    adapted = method.attach(model)
    start = adapted(input_ids=TOKENS).logits
    assert start.dtype == torch.bfloat16
    torch.testing.assert_close(start, base, atol=2e-2, rtol=2e-2)
    merged = method.merge(adapted)
    assert merged(TOKENS).logits.dtype == torch.bfloat16
