"""`peftbench cost`, as a user types it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from peftbench.cli._app import app
from peftbench.errors import InvalidSpec, UnknownName
from peftbench.store import Store

SMALL = ("--inference", "1x16", "--training", "2x16", "--repeats", "2")


def cost(*arguments: str) -> Result:
    result = CliRunner().invoke(app, ["cost", *arguments], catch_exceptions=True)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def read(*arguments: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(cost(*arguments, "--json").stdout)
    return found


def test_measured_costs_go_to_the_store_and_are_not_mixed_with_predicted(
    tmp_path: Path,
) -> None:
    lora = "{name: lora, label: r2, parameters: {rank: 2}}"
    asked = ("--model", "tiny", "--methods", f"base, {lora}", *SMALL)
    measured = read(*asked, "--store", str(tmp_path))
    predicted = read(*asked, "--predict", "--device", "cpu", "--store", str(tmp_path))
    assert [one["label"] for one in measured] == ["base", "r2"]
    for seen, said in zip(measured, predicted, strict=True):
        assert (seen["basis"], said["basis"]) == ("measured", "predicted")
        for key in ("trainable_parameters", "stored_bytes", "serve_bytes", "forward_flops"):
            assert seen[key] == said[key], key
        assert seen["prefill"]["median"] > 0
        assert said["prefill"] is None
    assert measured[1]["extra_forward_flops"] > 0 == measured[0]["extra_forward_flops"]
    with Store.open(tmp_path, create=False) as store:
        kept = [one.outcome for one in store.results.of_kind("measure")]
    assert sorted(one.basis for one in kept) == ["measured"] * 2 + ["predicted"] * 2


def test_the_precision_of_training_is_asked_for_and_kept_apart(tmp_path: Path) -> None:
    asked = ("--model", "tiny", "--methods", "lora", "--predict", "--device", "cpu", *SMALL)
    whole, half = (
        read(*asked, "--precision", precision, "--store", str(tmp_path))[0]
        for precision in ("float32", "bfloat16")
    )
    assert (whole["probe"]["precision"], half["probe"]["precision"]) == (
        "float32",
        "bfloat16",
    )
    assert whole["peak_memory"]["total"] != half["peak_memory"]["total"]
    assert whole["training_step_flops"] == half["training_step_flops"]
    with Store.open(tmp_path, create=False) as store:
        kept = [one.step for one in store.results.of_kind("measure")]
    assert [step.probe.precision for step in kept] == ["float32", "bfloat16"]  # type: ignore[union-attr]


def test_an_8b_model_is_predicted_without_its_weights() -> None:
    result = cost(
        "--model", "meta-llama/Meta-Llama-3-8B-Instruct", "--methods", "ia3", "--predict",
        "--device", "cuda",
    )  # fmt: skip
    assert result.exit_code == 0
    assert "Predicted on cuda (bfloat16 weights)" in result.stdout
    assert "524,288" in result.stdout
    assert "Time and energy" not in result.stdout, "times are not predicted"


def test_a_method_that_cannot_be_attached_says_why_and_the_others_go_on() -> None:
    wrong = "{name: lora, label: nowhere, parameters: {target_modules: [nothing]}}"
    found = read(
        "--model", "tiny", "--methods", f"{wrong}, base", "--predict", *SMALL
    )  # fmt: skip
    assert "no linear layer called nothing" in found[0]["error"]
    assert found[1]["trainable_parameters"] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--model", "tiny"), "--model and --methods"),
        (("quickstart", "--model", "tiny"), "not both"),
        (("--model", "tiny", "--methods", "lora", "--training", "4"), "BATCHxLENGTH"),
        (("--model", "tiny", "--methods", "lora", "--training", "1x100000"), "built for"),
        (
            ("--model", "tiny", "--methods", "lora", "--device", "cpu"),
            "goes with --predict",
        ),
        (
            ("--model", "tiny", "--methods", "lora", "--predict", "--device", "tpu"),
            "cpu or cuda",
        ),
        (
            ("--model", "tiny", "--methods", "lora", "--precision", "float16"),
            "one of auto, float32, bfloat16; got 'float16'",
        ),
        (("--model", "tiny", "--methods", "{name: lora"), "not a list as in YAML"),
    ],
)
def test_wrong_usage_is_explained_before_anything_is_loaded(
    arguments: tuple[str, ...], message: str
) -> None:
    with pytest.raises(InvalidSpec, match=message):
        cost(*arguments)


def test_an_unknown_method_is_explained() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'lora'"):
        cost("--model", "tiny", "--methods", "lorra")
