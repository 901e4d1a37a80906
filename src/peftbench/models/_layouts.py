"""From a config.json to shapes, family by family, as transformers builds the models."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from peftbench.errors import ModelError
from peftbench.models._shapes import Linear, Shapes


@dataclass(frozen=True)
class _Layout:
    """How a model type differs from the first Llama; by its transformers source."""

    tied: bool = False  # these three: what a config means that does not say it
    kv_heads: int | None = None
    head_dim: int | None = None
    qkv_bias: bool = False  # always there, whatever the config says
    attention_bias: bool = False  # read from the config
    mlp_bias: bool = False  # read from the config
    query_key_norms: Literal["", "of a head", "of all heads"] = ""
    norms_per_block: int = 2  # of the hidden state
    is_fused: bool = False  # query, key and value in one layer, gate and up in another


_LLAMAS: Mapping[str, _Layout] = {
    "llama": _Layout(attention_bias=True, mlp_bias=True),
    "mistral": _Layout(kv_heads=8),
    "qwen2": _Layout(kv_heads=32, qkv_bias=True),
    "qwen3": _Layout(
        kv_heads=32, head_dim=128, attention_bias=True, query_key_norms="of a head"
    ),
    "smollm3": _Layout(tied=True, kv_heads=4, attention_bias=True, mlp_bias=True),
    "gemma": _Layout(tied=True, kv_heads=16, head_dim=256, attention_bias=True),
    "gemma2": _Layout(
        tied=True, kv_heads=4, head_dim=256, attention_bias=True, norms_per_block=4
    ),
    "gemma3_text": _Layout(
        tied=True,
        kv_heads=4,
        head_dim=256,
        attention_bias=True,
        query_key_norms="of a head",
        norms_per_block=4,
    ),
    "phi3": _Layout(is_fused=True),
    "olmo2": _Layout(attention_bias=True, query_key_norms="of all heads"),
}


def shapes_of(config: Mapping[str, Any]) -> Shapes:
    """The shapes that a config means; raises `ModelError` for a type not known here."""
    model_type = str(config.get("model_type"))
    if model_type in _LLAMAS:
        return _llama(config, _LLAMAS[model_type])
    if model_type in _OTHERS:
        return _OTHERS[model_type](config)
    raise ModelError(
        f"The shapes of a {config.get('model_type')!r} model cannot be computed from its "
        f"config alone; those of {', '.join([*_LLAMAS, *_OTHERS])} can. Measure them on a "
        "model without weights: `Shapes.from_meta_model(config)`."
    )


def _field(config: Mapping[str, Any], name: str) -> int:
    try:
        return int(config[name])
    except KeyError:
        raise ModelError(
            f"The config of this {config['model_type']} model has no {name}; is it complete?"
        ) from None


def _llama(config: Mapping[str, Any], layout: _Layout) -> Shapes:
    heads = _field(config, "num_attention_heads")
    hidden = _field(config, "hidden_size")
    shapes = Shapes(
        model_type=config["model_type"],
        vocab_size=_field(config, "vocab_size"),
        hidden_size=hidden,
        num_layers=_field(config, "num_hidden_layers"),
        num_heads=heads,
        num_kv_heads=config.get("num_key_value_heads", layout.kv_heads) or heads,
        head_dim=config.get("head_dim", layout.head_dim) or hidden // heads,
        parameters=0,
        linears=(),
        norms=(),
    )
    is_tied = bool(config.get("tie_word_embeddings", layout.tied))
    embeddings = shapes.vocab_size * hidden * (1 if is_tied else 2)
    return _complete(
        shapes,
        embeddings,
        tuple(_llama_linears(shapes, config, layout)),
        tuple(_llama_norms(shapes, layout)),
    )


def _complete(
    shapes: Shapes, embeddings: int, linears: tuple[Linear, ...], norms: tuple[int, ...]
) -> Shapes:
    total = embeddings + sum(linear.parameters for linear in linears) + sum(norms)
    return replace(shapes, parameters=total, linears=linears, norms=norms)


def _llama_linears(
    shapes: Shapes, config: Mapping[str, Any], layout: _Layout
) -> Iterator[Linear]:
    hidden, inner = shapes.hidden_size, _field(config, "intermediate_size")
    q_dim, kv_dim = shapes.num_heads * shapes.head_dim, shapes.kv_dim
    attention_bias = layout.attention_bias and bool(config.get("attention_bias"))
    mlp_bias = layout.mlp_bias and bool(config.get("mlp_bias"))
    qkv_bias = layout.qkv_bias or attention_bias
    for layer in range(shapes.num_layers):
        block = f"model.layers.{layer}"
        if layout.is_fused:
            yield Linear(f"{block}.self_attn.o_proj", q_dim, hidden, attention_bias)
            yield Linear(
                f"{block}.self_attn.qkv_proj", hidden, q_dim + 2 * kv_dim, qkv_bias
            )
            yield Linear(f"{block}.mlp.gate_up_proj", hidden, 2 * inner, mlp_bias)
        else:
            yield Linear(f"{block}.self_attn.q_proj", hidden, q_dim, qkv_bias)
            yield Linear(f"{block}.self_attn.k_proj", hidden, kv_dim, qkv_bias)
            yield Linear(f"{block}.self_attn.v_proj", hidden, kv_dim, qkv_bias)
            yield Linear(f"{block}.self_attn.o_proj", q_dim, hidden, attention_bias)
            yield Linear(f"{block}.mlp.gate_proj", hidden, inner, mlp_bias)
            yield Linear(f"{block}.mlp.up_proj", hidden, inner, mlp_bias)
        yield Linear(f"{block}.mlp.down_proj", inner, hidden, mlp_bias)


def _llama_norms(shapes: Shapes, layout: _Layout) -> Iterator[int]:
    for _ in range(shapes.num_layers):
        match layout.query_key_norms:
            case "of a head":
                yield from (shapes.head_dim, shapes.head_dim)
            case "of all heads":
                yield from (shapes.num_heads * shapes.head_dim, shapes.kv_dim)
        yield from (shapes.hidden_size,) * layout.norms_per_block
    yield shapes.hidden_size


def _gpt2(config: Mapping[str, Any]) -> Shapes:
    """Learned positions, LayerNorm with a bias, and layers that keep W transposed."""
    hidden, layers = _field(config, "n_embd"), _field(config, "n_layer")
    heads, inner = _field(config, "n_head"), config.get("n_inner") or 4 * hidden
    vocabulary = _field(config, "vocab_size")
    linears = tuple(
        Linear(f"transformer.h.{layer}.{name}", d_in, d_out, True, True)
        for layer in range(layers)
        for name, d_in, d_out in (
            ("attn.c_attn", hidden, 3 * hidden),
            ("attn.c_proj", hidden, hidden),
            ("mlp.c_fc", hidden, inner),
            ("mlp.c_proj", inner, hidden),
        )
    )
    words = vocabulary * hidden * (1 if config.get("tie_word_embeddings", True) else 2)
    positions = int(config.get("n_positions", 1024)) * hidden
    return _complete(
        _plain("gpt2", vocabulary, hidden, layers, heads),
        words + positions,
        linears,
        (2 * hidden,) * (2 * layers + 1),
    )


def _gpt_neox(config: Mapping[str, Any]) -> Shapes:
    """Query, key and value in one layer, LayerNorm with a bias, an output layer apart."""
    hidden, layers = _field(config, "hidden_size"), _field(config, "num_hidden_layers")
    heads, inner = (
        _field(config, "num_attention_heads"),
        _field(config, "intermediate_size"),
    )
    vocabulary, bias = (
        _field(config, "vocab_size"),
        bool(config.get("attention_bias", True)),
    )
    linears = tuple(
        Linear(f"gpt_neox.layers.{layer}.{name}", d_in, d_out, has_bias)
        for layer in range(layers)
        for name, d_in, d_out, has_bias in (
            ("attention.query_key_value", hidden, 3 * hidden, bias),
            ("attention.dense", hidden, hidden, bias),
            ("mlp.dense_h_to_4h", hidden, inner, True),
            ("mlp.dense_4h_to_h", inner, hidden, True),
        )
    )
    words = vocabulary * hidden * (1 if config.get("tie_word_embeddings", False) else 2)
    return _complete(
        _plain("gpt_neox", vocabulary, hidden, layers, heads),
        words,
        linears,
        (2 * hidden,) * (2 * layers + 1),
    )


def _plain(
    model_type: str, vocabulary: int, hidden: int, layers: int, heads: int
) -> Shapes:
    """As many heads of keys and values as of queries; the rest is added later."""
    return Shapes(
        model_type=model_type,
        vocab_size=vocabulary,
        hidden_size=hidden,
        num_layers=layers,
        num_heads=heads,
        num_kv_heads=heads,
        head_dim=hidden // heads,
        parameters=0,
        linears=(),
        norms=(),
    )


_OTHERS: Mapping[str, Callable[[Mapping[str, Any]], Shapes]] = {
    "gpt2": _gpt2,
    "gpt_neox": _gpt_neox,
}
