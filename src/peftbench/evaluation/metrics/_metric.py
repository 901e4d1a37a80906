"""What a metric is: a pure function from answers and targets to one number."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Self, TypeVar, get_args

T = TypeVar("T")

Column = Literal["groups", "references", "extras", "verdicts", "sampled_verdicts"]
_COLUMNS: tuple[Column, ...] = get_args(Column)


@dataclass(frozen=True, kw_only=True)
class Answers:
    """The parsed answers to a test set, row by row, beside their targets.

    `predicted` holds None where the output could not be read as an answer.
    `labels` is the task's closed label set, or () where answers are free. The next three,
    row by row too, are `Example.group`, `.references` and `.extra`; () where no metric of
    the task asks for them. `verdicts` are those on the answers as programs, and
    `sampled_verdicts` those on further programs, sampled for the same prompt
    (`evaluation/programs.py`); () where none were run.
    """

    predicted: Sequence[str | None]
    targets: Sequence[str]
    labels: tuple[str, ...] = ()
    groups: Sequence[str | None] = ()
    references: Sequence[tuple[str, ...]] = ()
    extras: Sequence[Mapping[str, Any]] = ()
    verdicts: Sequence[str] = ()
    sampled_verdicts: Sequence[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        for name in ("predicted", *_COLUMNS):
            values = getattr(self, name)
            if (values or name == "predicted") and len(values) != len(self.targets):
                raise ValueError(
                    f"{len(values)} {name} for {len(self.targets)} targets; give one a row."
                )
        if not self.targets:
            raise ValueError("A score over no examples is undefined.")

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def all_references(self) -> Sequence[tuple[str, ...]]:
        """The right answers of every row: its references, or its target alone."""
        if not self.references:
            return [(target,) for target in self.targets]
        pairs = zip(self.references, self.targets, strict=True)
        return [references or (target,) for references, target in pairs]

    def take(self, rows: Sequence[int]) -> Self:
        """These rows alone, in this order."""

        def chosen(values: Sequence[T]) -> list[T]:
            return [values[i] for i in rows] if values else []

        return replace(
            self,
            predicted=chosen(self.predicted),
            targets=chosen(self.targets),
            groups=chosen(self.groups),
            references=chosen(self.references),
            extras=chosen(self.extras),
            verdicts=chosen(self.verdicts),
            sampled_verdicts=chosen(self.sampled_verdicts),
        )


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A score over a test set. One file in `metrics/` ends with `METRIC = Metric(...)`.

    `score` is defined for every non-empty set of answers, also constant or unreadable
    ones, does not depend on the order of rows, and moves by O(1/n) with one row.
    """

    score: Callable[[Answers], float]
    unit: str  # "fraction correct", "correlation"
    better: Literal["higher", "lower"] = "higher"
    #: Between which its scores lie; None where there is no bound.
    lowest: float | None = None
    highest: float | None = None
    chance_is_zero: bool = False  # a constant answer scores 0 (correlations)
    #: Score of each row alone where the score is their mean; otherwise None. A row that has
    #: no score of its own has None, and is not in the mean.
    per_row: Callable[[Answers], Sequence[float | None]] | None = None
    #: What is independent of the rest, and left out for the standard error: a row, or all
    #: rows of one group, where a group is scored as one (a passage with its questions).
    leave_out: Literal["row", "group"] = "row"
    #: Columns of `Answers` that it reads beside answers, targets and labels.
    needs: tuple[Column, ...] = ()
    #: Sampled answers to every prompt that it takes at least.
    samples: int = 0

    @property
    def runs_programs(self) -> bool:
        """Whether answers have to be run before they can be scored."""
        return bool({"verdicts", "sampled_verdicts"} & set(self.needs))
