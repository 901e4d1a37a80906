"""Small models in folders: one made here, and two that were really trained."""

from __future__ import annotations

import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, decoders, normalizers
from tokenizers import models as tokenizer_models
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from peftbench.models import resolve
from peftbench.spec import ModelChoice
from peftbench.testing import tiny_llama

#: "▁", which stands for a blank in vocabularies of this kind.
_BLANK = "\N{LOWER ONE EIGHTH BLOCK}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small random model with the embedded model's tokenizer, complete."""
    folder = tmp_path / "model"
    tiny_llama(vocab_size=1024).save_pretrained(folder)
    embedded = Path(resolve(ModelChoice(name="tiny")).location)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(embedded / name, folder)
    return folder


@pytest.fixture(scope="session")
def trained(
    shared_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """Writes a model of the shared pack, by its name, as a Hugging Face folder."""

    def convert(name: str) -> Path:
        source, folder = shared_dir / "models" / name, tmp_path_factory.mktemp(name)
        _llama2c(source / f"{name}.bin").save_pretrained(folder)
        _tokenizer(source / "tok512.bin").save_pretrained(folder)
        return folder

    return convert


def _llama2c(file: Path) -> LlamaForCausalLM:
    """A checkpoint in the layout of llama2.c, version 0."""
    raw = file.read_bytes()
    dim, inner, layers, heads, kv_heads, vocab, length = struct.unpack("<7i", raw[:28])
    numbers = np.frombuffer(raw, "<f4", offset=28)
    config = LlamaConfig(
        vocab_size=vocab,
        hidden_size=dim,
        intermediate_size=inner,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        max_position_embeddings=length,
        rms_norm_eps=1e-5,
        tie_word_embeddings=True,
        bos_token_id=1,
        eos_token_id=2,
    )
    kv_dim = dim // heads * kv_heads
    state: dict[str, torch.Tensor] = {}
    at = 0

    def take(*shape: int) -> torch.Tensor:
        nonlocal at
        at += int(np.prod(shape))
        return torch.from_numpy(
            numbers[at - int(np.prod(shape)) : at].reshape(shape).copy()
        )

    def per_layer(name: str, *shape: int, rotated_heads: int = 0) -> None:
        for layer, weight in enumerate(take(layers, *shape)):
            if rotated_heads:
                # Neighbouring elements are rotated there, halves of a head in transformers.
                pairs = weight.view(rotated_heads, -1, 2, shape[-1])
                weight = pairs.transpose(1, 2).reshape(shape)
            state[f"model.layers.{layer}.{name}.weight"] = weight.contiguous()

    state["model.embed_tokens.weight"] = take(vocab, dim)
    per_layer("input_layernorm", dim)
    per_layer("self_attn.q_proj", dim, dim, rotated_heads=heads)
    per_layer("self_attn.k_proj", kv_dim, dim, rotated_heads=kv_heads)
    per_layer("self_attn.v_proj", kv_dim, dim)
    per_layer("self_attn.o_proj", dim, dim)
    per_layer("post_attention_layernorm", dim)
    per_layer("mlp.gate_proj", inner, dim)
    per_layer("mlp.down_proj", dim, inner)
    per_layer("mlp.up_proj", inner, dim)
    state["model.norm.weight"] = take(dim)
    model = LlamaForCausalLM(config)
    model.load_state_dict(state | {"lm_head.weight": state["model.embed_tokens.weight"]})
    return model


def _tokenizer(file: Path) -> PreTrainedTokenizerFast:
    """Pieces with scores, merged greedily: byte-pair encoding, best score first."""
    raw, at = file.read_bytes(), 4
    pieces: list[str] = []
    scores: dict[str, float] = {}
    while at < len(raw):
        score, size = struct.unpack_from("<fi", raw, at)
        text = raw[at + 8 : at + 8 + size].decode("utf-8", errors="replace")
        at += 8 + size
        number = len(pieces)
        text = {0: "<unk>", 1: "<s>", 2: "</s>"}.get(number, text.replace(" ", _BLANK))
        pieces.append(f"<0x{number - 3:02X}>" if 3 <= number < 259 else text)
        scores[pieces[-1]] = score
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    merges = [
        (piece[:cut], piece[cut:])
        for piece in sorted(pieces[259:], key=lambda piece: -scores[piece])
        for cut in range(1, len(piece))
        if piece[:cut] in vocabulary and piece[cut:] in vocabulary
    ]
    model: Any = tokenizer_models.BPE(
        vocabulary, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True
    )
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend(_BLANK), normalizers.Replace(" ", _BLANK)]
    )
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace(_BLANK, " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )
