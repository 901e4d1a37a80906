"""A short, exclusive probe of one method on one model: parameters, FLOPs, memory, time.

Nothing else may run meanwhile. Inputs are fixed, so methods differ by nothing but
themselves. What can be counted is counted by `count.py`; this adds what a clock and the
GPU's energy counter say.
"""

from __future__ import annotations

import copy
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import nn

from peftbench import manifest as facts
from peftbench.cost.alone import load_average
from peftbench.cost.costs import Cost, Seconds
from peftbench.cost.count import Inputs, count, forward_flops
from peftbench.cost.energy import EnergyCounter
from peftbench.cost.step import RepeatedStep, context, tokens
from peftbench.cost.timing import Generation, generation, once, over, timed, writing
from peftbench.methods import Method, get
from peftbench.models._load import BaseModel
from peftbench.spec import CellMethod, ModelChoice, Probe
from peftbench.training.seeds import seed_everything


@dataclass
class Meter:
    """A loaded model that methods are measured on, one after the other."""

    base: BaseModel
    model: ModelChoice
    probe: Probe

    def cost(self, asked: CellMethod, method: Method) -> Cost:
        """Probe `method`, and leave the base as it was; nothing else should run meanwhile."""
        base, inputs, busy = self.base, Inputs.of(self.probe), load_average()
        vocabulary, energy = base.shapes.vocab_size, EnergyCounter.of(base.device)
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary) / "adapter"
            counted = count(method, base.model, vocabulary, inputs, folder)
            step, step_joules = self._training(method, inputs, energy)
            ids = tokens(vocabulary, *inputs.inference, base.device)
            load, loaded = self._loads(method, folder)
            try:
                unmerged = generation(
                    loaded, ids, self.probe.new_tokens, self.probe.repeats
                )
                token_joules = self._token_joules(loaded, ids, energy)
            finally:
                base.model = method.detach(loaded)
            merge, merged = self._merged(method, folder, ids)
        bare = forward_flops(get("base")(), base.model, vocabulary, inputs).total
        return Cost(
            basis="measured",
            model=self.model.name,
            model_identity=base.source.identity,
            dtype=self.model.dtype,
            method=asked,
            probe=self.probe,
            device=f"{_name(base.device)} ({facts.host()})",
            device_kind=_name(base.device),
            base_parameters=base.shapes.parameters,
            step_seconds=step.median if step else None,
            step_seconds_spread=step.spread if step else None,
            prefill=unmerged.prefill,
            token=unmerged.per_token,
            prefill_merged=merged.prefill if merged else None,
            token_merged=merged.per_token if merged else None,
            load=load,
            merge=merge,
            step_joules=step_joules,
            token_joules=token_joules,
            load_average=busy,
            packages=facts.packages(),
            **counted.columns(bare),
        )

    def _training(
        self, method: Method, inputs: Inputs, energy: EnergyCounter | None
    ) -> tuple[Seconds | None, float | None]:
        """Time and energy of a training step."""
        if not method.trains:
            return None, None
        batch = inputs.training_batch(self.base.shapes.vocab_size, self.base.device)
        now = context(batch, inputs.precision)
        seed_everything(0)
        adapted = method.attach_for(self.base.model, now)
        try:
            step = RepeatedStep.of(method, adapted, batch, now)
            return timed(step, self.probe.repeats), energy.joules(step) if energy else None
        finally:
            self.base.model = method.detach(adapted)

    def _loads(self, method: Method, folder: Path) -> tuple[Seconds, nn.Module]:
        """How long it takes to put a saved adapter on the base, and one that is on it."""
        seconds = []
        loaded = method.load(self.base.model, folder)  # warm-up
        for _ in range(self.probe.repeats):
            self.base.model = method.detach(loaded)
            took, loaded = once(lambda: method.load(self.base.model, folder))
            seconds.append(took)
        return over(seconds), loaded

    def _merged(
        self, method: Method, folder: Path, ids: torch.Tensor
    ) -> tuple[Seconds | None, Generation | None]:
        """Time of merging, and of generating with what comes out. Merging uses a base up,
        so each time a copy of it is merged."""
        if not method.mergeable:
            return None, None
        seconds = []
        merged: nn.Module | None = None
        for _ in range(self.probe.repeats):
            merged = None  # free it first: two copies may not fit
            loaded = method.load(copy.deepcopy(self.base.model), folder)
            took, merged = once(partial(method.merge, loaded))
            seconds.append(took)
        assert merged is not None
        new_tokens, repeats = self.probe.new_tokens, self.probe.repeats
        return over(seconds), generation(merged, ids, new_tokens, repeats)

    def _token_joules(
        self, loaded: nn.Module, ids: torch.Tensor, energy: EnergyCounter | None
    ) -> float | None:
        """Energy of one generated token, the reading of the prompt included in its share."""
        if energy is None:
            return None
        joules = energy.joules(writing(loaded, ids, self.probe.new_tokens))
        return joules / (self.probe.new_tokens * ids.shape[0])


def _name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
