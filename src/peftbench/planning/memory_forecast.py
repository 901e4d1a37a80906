"""The memory of a cell before anything is loaded: a closed form, or the step itself."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from peftbench.cost import closed_form
from peftbench.cost.costs import precision_of
from peftbench.errors import ModelError
from peftbench.methods._build import rebuild
from peftbench.models import Shapes
from peftbench.models._device import resolved_dtype, this_device
from peftbench.planning.plan import Plan
from peftbench.spec import Cell

#: Tokens of a longest example, and of a longest answer; None: as many as there are.
Lengths = tuple[int, int | None]


def shapes_of(plan: Plan, cell: Cell) -> Shapes | None:
    """The shapes of a cell's model, where they can be told without torch."""
    try:
        return Shapes.from_config(plan.models[cell.model.identity].config)
    except ModelError:
        return None


@dataclass
class MemoryForecast:
    """The peak of a cell's training steps: of one micro-batch of its longest examples."""

    plan: Plan
    exact: bool = False  # run the step without data, in seconds; else closed forms, at once
    _known: dict[str, int | None] = field(default_factory=dict)

    def bytes_of(self, cell: Cell, lengths: Lengths) -> int | None:
        """None where it cannot be told."""
        question = self._question(cell, lengths)
        if question not in self._known:
            predict = self._exact if self.exact else self._at_once
            self._known[question] = predict(cell, lengths)
        return self._known[question]

    def _question(self, cell: Cell, lengths: Lengths) -> str:
        training = cell.training
        asked: list[Any] = [cell.model.identity, cell.model.dtype, lengths, _rows(cell)]
        asked += [cell.method.name, cell.method.parameters]
        asked += [training and training.gradient_checkpointing, precision_of(cell)]
        return json.dumps(asked, sort_keys=True)

    def _at_once(self, cell: Cell, lengths: Lengths) -> int | None:
        shapes = shapes_of(self.plan, cell)
        if shapes is None:
            return None
        length, answer_length = lengths
        return closed_form.peak_memory_bytes(
            shapes,
            rebuild(cell.method),
            batch=_rows(cell),
            length=length,
            answer_length=answer_length,
            weight_bytes=2 if "16" in cell.model.dtype else 4,
            gradient_checkpointing=_recomputes(cell),
            precision=precision_of(cell),
        )

    def _exact(self, cell: Cell, lengths: Lengths) -> int | None:
        from peftbench.cost.count import Inputs
        from peftbench.cost.predict import model_without_data, predict

        source, device = self.plan.models[cell.model.identity], this_device()
        length, answer_length = lengths
        fresh = partial(
            model_without_data,
            source.config,
            name=source.written_name,
            dtype=resolved_dtype(cell.model.dtype, source.config, device),
        )
        inputs = Inputs(
            inference=(1, 2),
            training=(_rows(cell), max(2, length)),
            gradient_checkpointing=_recomputes(cell),
            answer_length=answer_length,
            precision=precision_of(cell),
        )
        try:
            return predict(
                rebuild(cell.method),
                fresh,
                vocabulary=int(source.config["vocab_size"]),
                device=device,
                inputs=inputs,
            ).memory.total
        except ModelError:
            return self._at_once(cell, lengths)


def _rows(cell: Cell) -> int:
    """Examples in one forward pass."""
    if cell.training is None:
        return 1
    return cell.training.micro_batch_size or cell.training.batch_size


def _recomputes(cell: Cell) -> bool:
    return cell.training is not None and cell.training.gradient_checkpointing
