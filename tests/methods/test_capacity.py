"""A linear layer and a target whose best approximations are known."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest
import torch

from peftbench import methods
from peftbench.testing.capacity import OneLinear, best_error, fit, target


@pytest.mark.parametrize(
    ("rank", "error"),
    [(1, 0.6215), (2, 0.4826), (4, 0.3554), (8, 0.2502), (16, 0.1663), (32, 0.0968)],
)
def test_lora_reaches_the_best_approximation_of_its_rank(rank: int, error: float) -> None:
    assert best_error(rank) == pytest.approx(error, abs=5e-5)
    count, reached = fit(methods.get("lora")(rank=rank))
    assert count == 128 * rank
    assert reached == pytest.approx(error, abs=1e-2)
    assert reached > error - 1e-3, "nothing of that rank can be nearer"


def test_full_fine_tuning_reaches_the_target() -> None:
    count, reached = fit(methods.get("full")())
    assert count == 64 * 64
    assert reached < 1e-3


def test_biases_do_not_help() -> None:
    """Inputs have mean zero, so the best bias is none, and all of the error is left."""
    count, reached = fit(methods.get("bitfit")())
    assert count == 64
    assert reached == pytest.approx(1.0, abs=1e-4)


def test_untrained_layer_has_all_of_the_error() -> None:
    assert fit(methods.get("base")()) == (0, pytest.approx(1.0, abs=1e-5))


def test_target_has_the_singular_values_that_it_is_said_to_have() -> None:
    expected = 1 / torch.arange(1, 65)
    torch.testing.assert_close(torch.linalg.svdvals(target()), expected, atol=1e-5, rtol=0)
    assert not torch.equal(OneLinear(0).layer.weight, OneLinear(1).layer.weight)


def test_table_says_where_each_ends_and_why_others_are_not_in_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script = str(Path(__file__).parents[2] / "benchmarks" / "capacity.py")
    names = "lora,bitfit,prompt-tuning"
    monkeypatch.setattr(sys, "argv", [script, "--methods", names])
    runpy.run_path(script, run_name="__main__")  # another process imports for 8 seconds
    said = capsys.readouterr().out
    assert "| lora | rank 8 | 1,024 | 0.2502 | 0.2502 (rank 8) |" in said
    assert "| bitfit | one size | 64 | 1.0000 |" in said
    assert "- prompt-tuning: " in said.split("Not on a bare linear layer:")[1]
