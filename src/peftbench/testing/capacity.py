"""A question with a known answer: how near can a method bring one linear layer to a target?

A frozen 64 x 64 layer W0 is to become W0 + T, with T's singular values 1, 1/2, ..., 1/64.
Inputs are isotropic, so the squared error of what a method computes is ``|D - T|^2 + |b|^2``
(Frobenius), where D is its change of the weight and b of the bias. By Eckart and Young
(1936), no D of rank r has a relative error below ``sqrt(sum_{i>r} i^-2 / sum_i i^-2)``.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import nn
from transformers import PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutput

if TYPE_CHECKING:
    from peftbench.methods import Method

WIDTH = 64
_ITERATIONS = 1500


class OneLinearConfig(PretrainedConfig):  # type: ignore[misc]  # transformers is not typed
    """The config of `OneLinear`, with the fields that methods ask a config for."""

    model_type = "one_linear"

    def __init__(self, **fields: Any) -> None:
        self.vocab_size = self.hidden_size = self.intermediate_size = WIDTH
        self.num_hidden_layers = self.num_attention_heads = 1
        super().__init__(**fields)


class _Block(nn.Module):
    """One layer, called as it is."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(WIDTH, WIDTH, bias=False)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """The layer of `rows`."""
        out: torch.Tensor = self.layer(rows)
        return out


class OneLinear(PreTrainedModel):  # type: ignore[misc]
    """One linear layer without a bias, as small as a model that methods attach to can be.

    Takes rows of 64 numbers, (batch, 64), and returns as many as `logits`.
    """

    config_class = OneLinearConfig

    def __init__(self, seed: int = 0) -> None:
        super().__init__(OneLinearConfig())
        # A list of one block: some methods look for the blocks of a model.
        self.blocks = nn.ModuleList([_Block()])
        with torch.no_grad():
            generator = torch.Generator().manual_seed(seed)
            self.layer.weight.copy_(_random(generator) / math.sqrt(WIDTH))
        self.eval().requires_grad_(False)

    @property
    def layer(self) -> nn.Linear:
        """The layer, without what a method put around it."""
        found: Any = self.blocks[0].layer
        return cast("nn.Linear", getattr(found, "base_layer", found))

    def forward(self, input_ids: torch.Tensor, **_: Any) -> CausalLMOutput:
        """The layer alone."""
        return CausalLMOutput(logits=self.blocks[0](input_ids))

    def get_input_embeddings(self) -> None:
        """None: inputs are numbers."""

    def get_output_embeddings(self) -> None:
        """None."""

    def prepare_inputs_for_generation(self, *_: Any, **__: Any) -> dict[str, Any]:
        """Asked for by `peft`; nothing is generated."""
        return {}


def target(seed: int = 1) -> torch.Tensor:
    """T of shape (64, 64), see the module."""
    generator = torch.Generator().manual_seed(seed)
    left, right = (torch.linalg.qr(_random(generator))[0] for _ in range(2))
    scales = 1 / torch.arange(1, WIDTH + 1, dtype=left.dtype)
    update: torch.Tensor = left @ torch.diag(scales) @ right.T
    return update


def best_error(rank: int) -> float:
    """The smallest relative error that a change of this rank can have.

    >>> [round(best_error(rank), 4) for rank in (1, 2, 4, 8, 16, 32, 64)]
    [0.6215, 0.4826, 0.3554, 0.2502, 0.1663, 0.0968, 0.0]
    """
    squares = [i**-2 for i in range(1, WIDTH + 1)]
    return math.sqrt(sum(squares[rank:]) / sum(squares))


def fit(method: Method, seed: int = 7, iterations: int = _ITERATIONS) -> tuple[int, float]:
    """Train `method` on the layer until nothing moves: how many parameters it trained, and
    the relative error that it ended with.

    Full batches, the loss exact, L-BFGS with a line search. Raises what the method or its
    library raises where it cannot attach to a bare linear layer.
    """
    model = OneLinear()
    goal = model.layer.weight.detach() + target()
    torch.manual_seed(seed)
    adapted = method.attach(cast("Any", model)).eval()
    # Twice every axis, to and fro: mean 0 and covariance 1, so that the mean over them is
    # what the module's docstring says for every affine map.
    inputs = math.sqrt(WIDTH) * torch.cat([torch.eye(WIDTH), -torch.eye(WIDTH)])
    wanted = inputs @ goal.T
    scale = float(target().square().sum())
    parameters = [p for p in adapted.parameters() if p.requires_grad]

    def loss() -> torch.Tensor:
        got = adapted(input_ids=inputs).logits
        error: torch.Tensor = (got - wanted).square().sum(-1).mean() / scale
        return error

    if parameters:
        _minimise(parameters, loss, iterations)
    with torch.no_grad():
        return sum(p.numel() for p in parameters), math.sqrt(float(loss()))


def _minimise(parameters: list[nn.Parameter], loss: Any, iterations: int) -> None:
    optimizer = torch.optim.LBFGS(
        parameters,
        max_iter=iterations,
        history_size=30,
        tolerance_grad=1e-9,
        tolerance_change=1e-12,
        line_search_fn="strong_wolfe",
    )

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        value: torch.Tensor = loss()
        value.backward()
        return value

    optimizer.step(closure)


def _random(generator: torch.Generator) -> torch.Tensor:
    return torch.randn(WIDTH, WIDTH, generator=generator)
