"""PSCP is the published one (PEFT-Bench, arXiv:2511.21285, tables 3, 9 and 10)."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peftbench.scoring import pscp, pscp_factors, soft_penalty

#: method: performance, trainable parameters, extra TFLOPs, GB; factors; PSCP.
GOLDEN = {
    "ia3": ((74.7, 196_608, 0.31, 28.41), (0.999607, 0.969932, 0.767911), 55.6163),
    "prompt-tuning": (
        (50.0, 409_600, 1.67, 42.47),
        (0.999181, 0.856898, 0.688796),
        29.4872,
    ),
    "prefix-tuning": (
        (45.9, 34_177_536, 0.01, 27.61),
        (0.936018, 0.999001, 0.772963),
        33.1758,
    ),
    "p-tuning": ((51.7, 53_130_752, 1.68, 34.53), (0.903945, 0.856164, 0.731347), 29.2626),
    "lora": ((80.1, 14_680_064, 0.0, 27.75), (0.971477, 1.0, 0.772074), 60.0792),
    "ln-tuning": ((77.8, 266_240, 0.0, 27.43), (0.999468, 1.0, 0.774109), 60.1936),
    "bitfit": ((75.3, 163_840, 0.0, 27.20), (0.999672, 1.0, 0.775578), 58.3819),
}
OTHER_BETAS = {
    (0.5, 1, 1): (55.6272, 29.4993, 34.2909, 30.7781, 60.9548, 60.2096, 58.3914),
    (2, 1, 1): (55.5944, 29.4631, 31.0532, 26.4518, 58.3656, 60.1616, 58.3627),
    (2, 2, 2): (41.4079, 17.3900, 23.9790, 16.5629, 45.0625, 46.5716, 45.2648),
}


@pytest.mark.parametrize("method", GOLDEN)
def test_factors_and_score_are_the_published_ones(method: str) -> None:
    (performance, *costs), factors, score = GOLDEN[method]
    assert pscp_factors(*costs) == pytest.approx(factors, abs=1e-6)
    assert pscp(performance, *costs) == pytest.approx(score, abs=1e-3)


@pytest.mark.parametrize("betas", OTHER_BETAS)
def test_other_betas_give_the_published_scores(betas: tuple[float, float, float]) -> None:
    found = [pscp(*inputs, betas=betas) for inputs, _, _ in GOLDEN.values()]
    assert found == pytest.approx(OTHER_BETAS[betas], abs=1e-3)


def test_equal_betas_may_change_the_order() -> None:
    lora, bitfit = GOLDEN["lora"][0], GOLDEN["bitfit"][0]
    assert pscp(*lora) > pscp(*bitfit)
    assert pscp(*lora, betas=(2, 2, 2)) < pscp(*bitfit, betas=(2, 2, 2))


@given(st.floats(0, 1e15), st.floats(1e-3, 1e15), st.floats(0, 10))
def test_penalty_is_a_factor_that_falls_with_cost(
    x: float, constant: float, b: float
) -> None:
    factor = soft_penalty(x, constant, b)
    assert 0 <= factor <= 1
    assert soft_penalty(2 * x + 1, constant, b) <= factor


@pytest.mark.parametrize("cost", [-1.0, math.nan, math.inf])
def test_cost_that_is_none_is_refused(cost: float) -> None:
    with pytest.raises(ValueError, match="finite number of at least 0"):
        soft_penalty(cost, 1.0)
