"""How the model of a cell reads prompts: its encoder, and how long an input may be."""

from __future__ import annotations

from peftbench.encoding.encode import Encoder, stop_ids
from peftbench.methods import Method
from peftbench.models._load import BaseModel
from peftbench.spec import Cell


def encoder_of(cell: Cell, base: BaseModel) -> Encoder:
    """Prompts to tokens, as the cell asks for it."""
    return Encoder(
        base.tokenizer,
        chat_template=bool(cell.model.chat_template),
        stop_ids=stop_ids(base.tokenizer, base.model.generation_config),
    )


def longest_input(cell: Cell, method: Method, base: BaseModel) -> int:
    """Tokens of prompt and answer: what the cell allows, and what the model was built for
    less the virtual tokens of the method."""
    virtual = getattr(method, "num_virtual_tokens", 0)
    room = (base.max_positions or cell.max_length + virtual) - virtual
    return min(cell.max_length, room)
