"""Where attention, feed-forward network and blocks of a model are, whatever its names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import nn

from peftbench.errors import ModelError
from peftbench.methods._native import linear as linears

if TYPE_CHECKING:
    from transformers import PreTrainedModel

#: The linear layer that ends an attention module.
_OUTPUT_PROJECTIONS = ("o_proj", "out_proj", "c_proj", "dense", "wo")


@dataclass(frozen=True)
class Block:
    """Names of one transformer block and its two sublayers.

    `feed_forward_in` takes the input of the feed-forward network and `feed_forward` gives
    its output: one module, but for OPT, whose two linear layers lie in the block itself.
    """

    name: str
    attention: str
    attention_out: str
    feed_forward_in: str
    feed_forward: str


@dataclass(frozen=True)
class Places:
    """The named modules of a causal language model, without what adapters added."""

    modules: Mapping[str, nn.Module]
    blocks: tuple[Block, ...]
    final_norm: str
    head: str

    @classmethod
    def of(cls, model: PreTrainedModel) -> Places:
        """Read them off `model`; raises `ModelError` where it is laid out otherwise."""
        modules = dict(_own_modules(model))
        stack = _stack(modules, model)
        blocks = tuple(
            _block(modules, f"{stack}.{i}") for i in range(model.config.num_hidden_layers)
        )
        parent = stack.rpartition(".")[0]
        norms = [
            name
            for name, module in _children(modules, parent)
            if type(module).__name__.endswith("Norm")
        ]
        head = model.get_output_embeddings()
        names = [name for name, module in modules.items() if module is _unwrapped(head)]
        if not norms or not names:
            missing = "final normalisation" if not norms else "output layer"
            raise ModelError(f"This {model.config.model_type} model has no {missing}.")
        return cls(modules, blocks, norms[-1], names[0])

    def linears(self, wanted: str | tuple[str, ...]) -> dict[str, nn.Module]:
        """Linear layers of the blocks by name: all, or those whose last name is wanted."""
        return {
            name: module
            for name, module in self.modules.items()
            if any(name.startswith(f"{block.name}.") for block in self.blocks)
            and linears.is_linear(module)
            and (isinstance(wanted, str) or name.rpartition(".")[2] in wanted)
        }


def _own_modules(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The modules of the base, by the names that they have without adapters."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    adapters: list[str] = []
    for name, module in model.named_modules():
        if isinstance(module, BaseTunerLayer):
            adapters.append(f"{name}.")
        added = [a for a in adapters if name.startswith(a)]
        if any(not name[len(a) :].startswith("base_layer") for a in added):
            continue
        if name.endswith(".base_layer"):
            continue  # seen, by its own name, as what it carries
        yield name.replace(".base_layer", ""), _unwrapped(module)


def _unwrapped(module: nn.Module) -> nn.Module:
    while isinstance(found := getattr(module, "base_layer", None), nn.Module):
        module = found
    return module


def _children(
    modules: Mapping[str, nn.Module], name: str
) -> Iterator[tuple[str, nn.Module]]:
    prefix = f"{name}." if name else ""
    for child, module in modules.items():
        if child.startswith(prefix) and child and "." not in child[len(prefix) :]:
            yield child, module


def _stack(modules: Mapping[str, nn.Module], model: PreTrainedModel) -> str:
    layers = model.config.num_hidden_layers
    for name, module in modules.items():
        if isinstance(module, nn.ModuleList) and len(module) == layers:
            return name
    raise ModelError(
        f"This {model.config.model_type} model has no list of {layers} blocks; adapters that "
        "act on attention and feed-forward networks need one."
    )


def _block(modules: Mapping[str, nn.Module], name: str) -> Block:
    children = dict(_children(modules, name))
    attention = [n for n, m in children.items() if "Attention" in type(m).__name__]
    inner = [n for n, m in children.items() if "MLP" in type(m).__name__]
    direct = [n for n, m in children.items() if linears.is_linear(m)]
    projections = [
        n
        for a in attention[:1]
        for n, _ in _children(modules, a)
        if n.rpartition(".")[2] in _OUTPUT_PROJECTIONS
    ]
    if not attention or not projections or not (inner or direct):
        raise ModelError(
            f"{name} is not a block with one attention module and one feed-forward network: "
            f"it holds {', '.join(type(m).__name__ for m in children.values())}."
        )
    first, last = (inner[0], inner[0]) if inner else (direct[0], direct[-1])
    return Block(name, attention[0], projections[-1], first, last)
