"""How a method takes part in training, beyond the parameters that it adds.

Most methods need none of this: what `attach` leaves trainable is trained by AdamW. A method
whose paper asks for more says so in two places: `Method.attach_for`, which knows the run it
attaches for, and `Method.hook`, whose calls the training loop makes at every step. The loop
itself knows no method by name.

    attach_for(model, context)
    hook = method.hook(adapted, context) or Hook()
    optimizer = hook.optimizer(parameters, training)
    for step in range(context.steps):
        for each part of the batch that fits into memory:
            hook.before_forward(part)
            gradients of the loss
        gradients of hook.penalty()
        gradients are clipped
        hook.before_step(step)
        optimizer.step()
        hook.after_step(step)
        gradients are cleared
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import nn

    from peftbench.encoding.batches import Batch
    from peftbench.spec import Training


@dataclass(frozen=True)
class RunContext:
    """What a method may know of the run that it is attached for.

    `batches()` starts at the run's first training batch every time it is called, and goes
    through all of them; take as few as will do, since each is laid out when it is asked for.
    It draws no random numbers.
    """

    steps: int  # of the optimiser, in the whole run
    training: Training
    batches: Callable[[], Iterator[Batch]]


class Hook:
    """What the training loop calls at every step; a method overrides what it needs.

    A hook lives as long as its run. Whatever it remembers from one step to the next is a
    tensor in `state`, or a killed run would not go on as if it had never stopped.
    """

    def optimizer(
        self, parameters: Mapping[str, nn.Parameter], training: Training
    ) -> torch.optim.Optimizer:
        """The optimiser of `parameters`, the trained ones by name: AdamW.

        The loop scales the learning rate that each parameter group is given here by the
        schedule, from the first step on. State is kept per parameter or per name, as
        tensors or plain numbers.
        """
        import torch

        return torch.optim.AdamW(
            list(parameters.values()),
            lr=training.learning_rate,
            weight_decay=training.weight_decay,
        )

    def before_forward(self, batch: Batch) -> None:
        """Before each forward pass of training. `batch` is right-padded; its answers say
        where. Evaluation does not call this."""

    def penalty(self) -> torch.Tensor | None:
        """A scalar to add to the loss of a step, once a step, after its forward passes.

        It moves gradients, and is not part of the training loss that is reported.
        """
        return None

    def before_step(self, step: int) -> None:
        """Before the optimiser's step (counted from 0), gradients summed and clipped."""

    def after_step(self, step: int) -> None:
        """After the optimiser's step, its gradients still there."""

    def state(self) -> dict[str, torch.Tensor]:
        """All that later steps depend on, except trained tensors and optimiser state."""
        return {}

    def load_state(self, state: Mapping[str, torch.Tensor]) -> None:
        """Take back what `state` returned; tensors come on the CPU."""


class WithOptimizer(Hook):
    """For methods that are an optimiser of their own and nothing else."""

    def __init__(self, make: Callable[[Training], torch.optim.Optimizer]) -> None:
        self.make = make

    def optimizer(
        self,
        parameters: Mapping[str, nn.Parameter],
        training: Training,
    ) -> torch.optim.Optimizer:
        return self.make(training)
