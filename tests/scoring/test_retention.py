"""What is left of a score on perturbed rows, and when that is not defined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peftbench.evaluation.scores import Constant, PerturbedScores
from peftbench.scoring.robustness import (
    NOT_ABOVE,
    ONE_ANSWER,
    retention,
    robustness,
    why_undefined,
)
from peftbench.scoring.summary import Robustness
from peftbench.spec import TestSet, Training
from peftbench.spec.facts import Better, TaskFacts
from peftbench.store import Evaluation, PlannedCell, Record
from store.parts import cell, manifest, score

FACTS = TaskFacts(description="")
HANS = TestSet(name="hans", version=1, data="sha256:1")


def evaluation(
    perturbed: float,
    clean: float,
    *,
    c: tuple[float, float] = (0.5, 0.5),
    test_set: TestSet = HANS,
    error: str | None = None,
    better: Better = "higher",
) -> Evaluation:
    comparison = PerturbedScores(
        scores=(score(perturbed, test_set=test_set.name, better=better),),
        constant=Constant(answer="no", value=c[0]),
        clean=score(clean, better=better),
        clean_constant=Constant(answer="no", value=c[1]),
    )
    return Evaluation(
        test_set=test_set,
        comparison=None if error else comparison,
        error=error,
    )


def rows(found: Mapping[int, Sequence[Evaluation]]) -> tuple[Robustness, ...]:
    cells = {seed: cell(seed).model_copy(update={"training": Training()}) for seed in found}
    planned = [
        PlannedCell(cell=one, model="tiny", label="lora", task=FACTS)
        for one in cells.values()
    ]
    records = {
        cells[seed].id: Record(
            cell=cells[seed],
            task=FACTS,
            status="finished",
            manifest=manifest(),
            evaluations=tuple(own),
        )
        for seed, own in found.items()
        if own
    }
    return robustness(planned, records)


class TestRetention:
    @pytest.mark.parametrize(
        ("perturbed", "clean", "c_perturbed", "c_clean", "expected"),
        [
            (0.8, 0.8, 0.5, 0.5, 1.0),
            (0.5, 0.8, 0.5, 0.5, 0.0),
            (0.4, 0.8, 0.5, 0.5, -1 / 3),
            (0.9, 0.8, 0.5, 0.5, 4 / 3),
            (0.75, 0.9, 0.5, 0.4, 0.5),  # each from the constant of its own rows
        ],
    )
    def test_values_by_hand(
        self,
        perturbed: float,
        clean: float,
        c_perturbed: float,
        c_clean: float,
        expected: float,
    ) -> None:
        assert retention(perturbed, clean, c_perturbed, c_clean) == pytest.approx(expected)

    @pytest.mark.parametrize(
        ("clean", "error", "c", "why"),
        [
            (0.5, 0.01, (0.5, 0.5), NOT_ABOVE),  # no better than a constant answer
            (0.3, 0.01, (0.5, 0.5), NOT_ABOVE),  # worse: the sign would turn
            (0.519, 0.01, (0.5, 0.5), NOT_ABOVE),  # within two standard errors
            (0.521, 0.01, (0.5, 0.5), ""),
            (0.5, None, (0.5, 0.5), NOT_ABOVE),
            (1.0, 0.0, (0.5, 0.5), ""),
            (0.9, 0.01, (1.0, 0.5), ONE_ANSWER),
        ],
    )
    def test_undefined_where_nothing_was_learnt_or_can_be_shown(
        self, clean: float, error: float | None, c: tuple[float, float], why: str
    ) -> None:
        assert why_undefined(clean, error, *c) == why

    @pytest.mark.parametrize(
        ("clean", "why"), [(0.2, ""), (0.5, NOT_ABOVE), (0.8, NOT_ABOVE)]
    )
    def test_lower_is_better_turns_the_comparison(self, clean: float, why: str) -> None:
        assert why_undefined(clean, 0.01, 0.5, 0.5, "lower") == why

    @given(*[st.floats(0, 1)] * 4, st.floats(0.001, 0.5))
    def test_what_is_defined_is_no_silly_number(
        self, perturbed: float, clean: float, c: float, c_clean: float, error: float
    ) -> None:
        if not why_undefined(clean, error, c, c_clean):
            assert abs(retention(perturbed, clean, c, c_clean)) <= 1 / (2 * error)


class TestRows:
    def test_means_and_intervals_over_seeds(self) -> None:
        (row,) = rows(
            {
                1: [evaluation(0.6, 0.8)],
                2: [evaluation(0.7, 0.9)],
            }
        )
        assert (row.model, row.method, row.task, row.test_set) == (
            "tiny", "lora", "mnli", "hans"
        )  # fmt: skip
        assert row.metric == "accuracy"
        assert row.complete
        assert row.clean is not None
        assert row.clean.mean == pytest.approx(0.85)
        assert row.perturbed is not None
        assert row.perturbed.mean == pytest.approx(0.65)
        assert row.drop is not None
        assert row.drop.mean == pytest.approx(0.2)
        assert row.drop.half_width == pytest.approx(0, abs=1e-9), "paired by seed"
        assert row.retention is not None
        assert row.retention.mean == pytest.approx((1 / 3 + 1 / 2) / 2)
        assert row.retention.seeds == 2
        assert (row.constant, row.clean_constant) == (0.5, 0.5)

    def test_retention_needs_every_seed(self) -> None:
        (row,) = rows(
            {
                1: [evaluation(0.6, 0.8)],
                2: [evaluation(0.5, 0.51)],
            }
        )
        assert row.retention is None
        assert row.reason == f"{NOT_ABOVE}: 1 of 2 seeds"
        assert row.by_seed["retention"] == {"1": pytest.approx(1 / 3)}
        assert row.perturbed is not None, "the scores themselves are defined"

    def test_missing_seed_is_incomplete(self) -> None:
        (row,) = rows({1: [evaluation(0.6, 0.8)], 2: []})
        assert not row.complete
        assert row.perturbed is not None
        assert row.perturbed.seeds == 1

    def test_failed_evaluation_says_why(self) -> None:
        (row,) = rows({1: [evaluation(0, 0, error="Too little memory.\nmore")]})
        assert (row.perturbed, row.retention, row.examples) == (None, None, None)
        assert row.reason == "Too little memory."

    def test_rows_of_different_data_are_not_averaged(self) -> None:
        other = HANS.model_copy(update={"data": "sha256:2"})
        (row,) = rows(
            {
                1: [evaluation(0.1, 0.8, test_set=other)],
                2: [evaluation(0.6, 0.8)],
                3: [evaluation(0.6, 0.8)],
            }
        )
        assert row.by_seed["perturbed"] == {"2": 0.6, "3": 0.6}
        assert not row.complete

    def test_drop_is_a_loss_also_where_lower_is_better(self) -> None:
        (row,) = rows({1: [evaluation(0.4, 0.1, better="lower")]})
        assert row.drop is not None
        assert row.drop.mean == pytest.approx(0.3)
        assert row.better == "lower"

    def test_nothing_scored_is_no_row(self) -> None:
        assert rows({1: [], 2: []}) == ()
