"""What the token-selective methods have in common: any additive method inside."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from peftbench.methods._native.method import NativeMethod
from peftbench.methods._settings import fraction, one_of, positive

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel

    from peftbench.methods._hook import Hook, RunContext
    from peftbench.methods._native.part import Part


@dataclass(frozen=True, kw_only=True)
class TokenSelectiveMethod(NativeMethod):
    """Token selection around the parts of another method; its own settings.

    The settings of the thresholds are one's own choice: the paper's update and constants are
    not published. `penalty` is lambda as a share of the task's loss before training.
    """

    penalty: float = positive(
        0.01,
        or_zero=True,
        hint="0 selects by the task alone, 0.003 to 0.3 are worth a try",
    )
    threshold_learning_rate: float = positive(5e-3)
    dense_fraction: float = fraction(0.25)
    kernel: str = one_of("logistic", ("logistic", "triangle", "constant"), called="kernels")

    family = "hybrid"
    paper = "TS-PEFT, 2025, arXiv:2511.16147"
    identity_at_start = True
    mergeable = False  # which update a token gets depends on the token
    zeros_will_do = True
    may_choose_no_token = True

    @abstractmethod
    def inner_parts(self, model: PreTrainedModel) -> Mapping[str, Part]:
        """The parts of the method inside, of which the additive ones select."""

    def parts(self, model: PreTrainedModel, found: Mapping[str, Any]) -> Mapping[str, Part]:
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
