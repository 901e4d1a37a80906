"""How long rows may be before padding on their left changes what a model says of them."""

from __future__ import annotations

from typing import Any

from torch import nn

#: Layers that see all tokens of a row, or none but the token itself.
_UNBOUNDED = {"full_attention", "global", "mlp", "moe", "dense", "sparse"}
#: Layers that see so many places back, padding among them.
_BOUNDED = {"sliding_attention", "chunked_attention", "local"}
_TYPES_OF_LAYERS = ("layer_types", "attention_layers", "layers_block_type", "block_types")
_SIZES = ("sliding_window", "window_size", "attention_chunk_size")


def unharmed_length(model: nn.Module) -> int | None:
    """Places in a row, padding and virtual tokens included, up to which padding before its
    text is without effect; None: however many.

    Windows and chunks count places, so that padding between virtual tokens and text pushes
    the one out of the other's sight. Recurrent layers take it into their state (0), and so
    may those of a kind that is not known here.
    """
    config: Any = model.config
    config = config.get_text_config()
    types = {
        kind for name in _TYPES_OF_LAYERS for kind in getattr(config, name, None) or ()
    }
    if getattr(model, "_is_stateful", False) or types - _UNBOUNDED - _BOUNDED:
        return 0
    if (types and not types & _BOUNDED) or getattr(
        config, "use_sliding_window", None
    ) is False:
        return None
    sizes = [getattr(config, name, None) for name in _SIZES]
    return min((int(size) for size in sizes if size), default=None)
