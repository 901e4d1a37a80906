"""What the token-selective methods have in common: any additive method inside."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from peftbench.errors import InvalidSpec
from peftbench.methods._method import Family
from peftbench.methods._native.method import NativeMethod
from peftbench.methods._settings import fraction, positive

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel

    from peftbench.methods._hook import Hook, RunContext
    from peftbench.methods._native.part import Part

_KERNELS = ("logistic", "triangle", "constant")


@dataclass(frozen=True, kw_only=True)
class TokenSelectiveMethod(NativeMethod):
    """Token selection around the parts of another method; its own settings.

    The settings of the thresholds are one's own choice: the paper's update and constants are
    not published. `penalty` is lambda as a share of the task's loss before training.
    """

    penalty: float = 0.01
    threshold_learning_rate: float = 5e-3
    dense_fraction: float = 0.25
    kernel: str = "logistic"

    family: ClassVar[Family] = "hybrid"
    paper: ClassVar[str] = "TS-PEFT, 2025, arXiv:2511.16147"
    identity_at_start: ClassVar[bool] = True
    mergeable: ClassVar[bool] = False  # which update a token gets depends on the token
    zeros_will_do: ClassVar[bool] = True

    def __post_init__(self) -> None:
        name = type(self).__name__
        if isinstance(self.penalty, bool) or not isinstance(self.penalty, int | float):
            raise InvalidSpec(f"{name} needs a number as penalty, got {self.penalty!r}.")
        if not 0 <= self.penalty < float("inf"):
            raise InvalidSpec(
                f"{name} needs a penalty of at least 0, got {self.penalty!r}; 0 selects by the "
                "task alone, 0.003 to 0.3 are worth a try."
            )
        rate = positive(name, "threshold_learning_rate", self.threshold_learning_rate)
        dense = fraction(name, "dense_fraction", self.dense_fraction)
        if self.kernel not in _KERNELS:
            raise InvalidSpec(
                f"{name} knows the kernels {', '.join(_KERNELS)}, got {self.kernel!r}."
            )
        object.__setattr__(self, "penalty", float(self.penalty))
        object.__setattr__(self, "threshold_learning_rate", rate)
        object.__setattr__(self, "dense_fraction", dense)

    @abstractmethod
    def inner_parts(self, model: PreTrainedModel) -> Mapping[str, Part]:
        """The parts of the method inside, of which the additive ones select."""

    def parts(self, model: PreTrainedModel, found: Mapping[str, Any]) -> Mapping[str, Part]:  # noqa: ARG002
        """See `NativeMethod.parts`."""
        from peftbench.methods._native.token_selective import select_tokens

        return select_tokens(self.inner_parts(model), self.kernel)

    def hook(self, adapted: nn.Module, context: RunContext) -> Hook:
        """Thresholds learn by a schedule, an optimiser group and a penalty of their own."""
        from peftbench.methods._native.token_selection import Pressure, hook_of

        pressure = Pressure(self.penalty, self.threshold_learning_rate, self.dense_fraction)
        return hook_of(adapted, context, pressure)

    def facts(self, adapted: nn.Module, context: RunContext) -> Mapping[str, float]:
        """Share of tokens that each module's update reaches, after training."""
        from peftbench.methods._native.token_selection import selected_shares

        return {
            f"tokens selected, {place}": share
            for place, share in selected_shares(adapted, context).items()
        }
