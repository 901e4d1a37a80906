"""PSCP as published: PEFT-Bench (arXiv:2511.21285), tables 3, 9 and 10."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peftbench.scoring import pscp, pscp_factors, soft_penalty

#: Mean score, trainable parameters, extra TFLOPs, memory in GB; the three factors; PSCP
#: with betas (1, 1, 1), (0.5, 1, 1), (2, 1, 1) and (2, 2, 2).
PUBLISHED = {
    "ia3": (
        (74.7, 196_608, 0.31, 28.41),
        (0.999607, 0.969932, 0.767911),
        (55.6163, 55.6272, 55.5944, 41.4079),
    ),
    "prompt-tuning": (
        (50.0, 409_600, 1.67, 42.47),
        (0.999181, 0.856898, 0.688796),
        (29.4872, 29.4993, 29.4631, 17.3900),
    ),
    "prefix-tuning": (
        (45.9, 34_177_536, 0.01, 27.61),
        (0.936018, 0.999001, 0.772963),
        (33.1758, 34.2909, 31.0532, 23.9790),
    ),
    "p-tuning": (
        (51.7, 53_130_752, 1.68, 34.53),
        (0.903945, 0.856164, 0.731347),
        (29.2626, 30.7781, 26.4518, 16.5629),
    ),
    "lora": (
        (80.1, 14_680_064, 0.0, 27.75),
        (0.971477, 1.000000, 0.772074),
        (60.0792, 60.9548, 58.3656, 45.0625),
    ),
    "ln-tuning": (
        (77.8, 266_240, 0.0, 27.43),
        (0.999468, 1.000000, 0.774109),
        (60.1936, 60.2096, 60.1616, 46.5716),
    ),
    "bitfit": (
        (75.3, 163_840, 0.0, 27.20),
        (0.999672, 1.000000, 0.775578),
        (58.3819, 58.3914, 58.3627, 45.2648),
    ),
}
BETAS = ((1.0, 1.0, 1.0), (0.5, 1.0, 1.0), (2.0, 1.0, 1.0), (2.0, 2.0, 2.0))
costs = st.floats(0, 1e12)


@pytest.mark.parametrize("method", PUBLISHED)
def test_factors_are_the_published_ones(method: str) -> None:
    (_, *inputs), factors, _ = PUBLISHED[method]
    assert pscp_factors(*inputs) == pytest.approx(factors, abs=1e-6)


@pytest.mark.parametrize("method", PUBLISHED)
@pytest.mark.parametrize("which", range(4))
def test_pscp_is_the_published_one_for_all_published_betas(method: str, which: int) -> None:
    (performance, *inputs), _, expected = PUBLISHED[method]
    found = pscp(performance, *inputs, betas=BETAS[which])
    assert found == pytest.approx(expected[which], abs=1e-3)


def test_betas_can_change_the_order_of_methods() -> None:
    """The paper says that equal betas never do."""
    lora, bitfit = PUBLISHED["lora"][0], PUBLISHED["bitfit"][0]
    assert pscp(*lora) > pscp(*bitfit)
    assert pscp(*lora, betas=BETAS[3]) < pscp(*bitfit, betas=BETAS[3])


def test_what_costs_nothing_is_not_discounted() -> None:
    assert pscp(80, 0, 0, 0) == 80
    assert pscp_factors(1e9, 1e9, 1e9, betas=(0, 0, 0)) == (1, 1, 1)


def test_the_constants_halve_the_score_and_can_be_chosen() -> None:
    assert pscp_factors(5e8, 10, 94) == (0.5, 0.5, 0.5)
    found = pscp(80, 3, 3, 3, parameter_constant=3, tflops_constant=3, memory_constant_gb=3)
    assert found == pytest.approx(10)


@given(costs, costs, st.floats(1e-3, 1e12), st.floats(0, 10))
def test_a_higher_cost_is_never_a_smaller_penalty(
    one: float, other: float, constant: float, beta: float
) -> None:
    low, high = sorted((one, other))
    assert 0 <= soft_penalty(high, constant, beta) <= soft_penalty(low, constant, beta) <= 1


@pytest.mark.parametrize("cost", [-1, -1e-9, math.nan, math.inf])
def test_a_cost_that_is_no_cost_is_refused(cost: float) -> None:
    with pytest.raises(ValueError, match="A cost must be a finite number of at least 0"):
        soft_penalty(cost, 10)


@pytest.mark.parametrize(("constant", "beta"), [(0, 1), (-1, 1), (1, -1)])
def test_constants_and_betas_that_make_no_sense_are_refused(
    constant: float, beta: float
) -> None:
    with pytest.raises(ValueError, match="Needs constant > 0 and beta >= 0"):
        soft_penalty(1, constant, beta)
