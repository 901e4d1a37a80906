"""What the command line tells of methods, and how it takes those from outside."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from command_line import peftbench
from peftbench import methods

PLUGIN = """
from dataclasses import dataclass
from typing import ClassVar
from peftbench.methods.lora import Lora

@dataclass(frozen=True, kw_only=True)
class Mine(Lora):
    \"\"\"LoRA, renamed (Nobody, 2026). Computes what LoRA computes: ``W x + (alpha / rank) B A x``.\"\"\"
    rank: int = 3
    placement: ClassVar = "where I like"

METHOD = Mine
"""


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    file = tmp_path / "mine.py"
    file.write_text(PLUGIN)
    return file


def test_list_methods_is_a_table_of_facts() -> None:
    rows = json.loads(peftbench("list", "methods", "--json").stdout)
    by_name = {row["name"]: row for row in rows}
    assert set(by_name) >= set(methods.CATALOGUE.own_names())
    assert by_name["lora"] == {
        "name": "lora",
        "family": "reparameterised",
        "placement": "linear layers of the blocks",
        "identity": True,
        "merges": True,
        "backward": True,
        "knob": "rank",
        "Llama-3-8B": 20_971_520,
        "paper": "Hu et al., 2021, arXiv:2106.09685",
    }
    assert by_name["base"]["knob"] == "–"
    [line] = [
        line
        for line in peftbench("list", "methods").stdout.splitlines()
        if line.startswith("lora ")
    ]
    assert "20,971,520" in line
    assert line.rstrip().endswith("arXiv:2106.09685")


def test_listing_and_showing_methods_import_nothing_heavy() -> None:
    for arguments in (["list", "methods"], ["show-method", "lora"]):
        code = (
            f"import sys; sys.argv = ['peftbench', *{arguments!r}]\n"
            "from peftbench.cli import main\n"
            "try: main()\nexcept SystemExit: pass\n"
            "heavy = {'torch', 'transformers', 'peft', 'datasets'}\n"
            "print(heavy & set(sys.modules), file=sys.stderr)"
        )
        said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert said.stderr == "set()\n"


def test_show_method_prints_the_card() -> None:
    said = peftbench("show-method", "ia3").stdout
    for part in (
        "ia3 (adapter)",
        "l * (W x + b)",
        "Liu et al., 2022, arXiv:2205.05638",
        "learning_rate 0.003",
        "none: one size only",
        "524,288 parameters",
        "not on gpt2",
    ):
        assert part in said, part
    raw: dict[str, Any] = json.loads(peftbench("show-method", "ia3", "--json").stdout)
    assert raw["trainable"]["Llama-3-8B"] == 524_288
    wrong = peftbench("show-method", "ai3")
    assert wrong.returncode == 2
    assert "Did you mean 'ia3'" in wrong.stderr


def test_plug_in_is_listed_shown_and_planned(plugin: Path) -> None:
    option = ("--plugin", str(plugin))
    rows = json.loads(peftbench("list", "methods", *option, "--json").stdout)
    assert "where I like" in [row["placement"] for row in rows if row["name"] == "mine"]
    assert "LoRA, renamed" in peftbench("show-method", "mine", *option).stdout
    planned = peftbench(
        "plan", "--model", "tiny", "--methods", "mine", "--tasks", "generated_sums",
        "--seeds", "1", *option, "--json",
    )  # fmt: skip
    [cell] = json.loads(planned.stdout)["cells"]
    assert cell["parameters"]["rank"] == 3


def test_broken_plug_in_is_listed_with_its_line_and_hides_no_other(tmp_path: Path) -> None:
    file = tmp_path / "broken.py"
    file.write_text("# a comment\nimport json\nMETHOD = json.nonsense\n")
    said = peftbench("list", "methods", "--plugin", str(file))
    assert said.returncode == 0
    [line] = [ln for ln in said.stdout.splitlines() if ln.startswith("broken ")]
    assert f"{file}, line 3" in line
    assert "AttributeError" in line
    assert "prefix-tuning" in said.stdout
    shown = peftbench("show-method", "broken", "--plugin", str(file))
    assert shown.returncode == 2
    assert f"{file}, line 3" in shown.stderr
    missing = peftbench("list", "methods", "--plugin", str(tmp_path / "none.py"))
    assert missing.returncode == 2
    assert "none.py" in missing.stderr


@pytest.mark.parametrize(
    ("kind", "attribute", "other"),
    [("tasks", "TASK", "generated_mood"), ("metrics", "METRIC", "accuracy")],
)
def test_broken_task_or_metric_hides_no_other(
    kind: str, attribute: str, other: str, tmp_path: Path
) -> None:
    file = tmp_path / "broken.py"
    file.write_text(f"import json\n{attribute} = json.nonsense\n")
    said = peftbench("list", kind, "--plugin", str(file))
    assert said.returncode == 0
    [line] = [ln for ln in said.stdout.splitlines() if ln.startswith("broken ")]
    assert f"{file}, line 2" in line
    assert other in said.stdout


PAIR = Path(__file__).parents[1] / "plugins" / "output_scale.py"


def test_check_method_reports_every_check_of_a_pair_from_outside() -> None:
    said = peftbench("check-method", str(PAIR))
    assert said.returncode == 0, said.stdout + said.stderr
    for part in (
        "output-scale (adapter; sha256:",
        "passed  states_what_it_is",
        "passed  saved_is_what_was_trained",
        "passed  opt: 64 trained parameters",
        "passed  gpt2: declared not to work",
        "All 22 checks passed.",
    ):
        assert part in said.stdout, part


def test_check_method_fails_with_the_line_of_the_plug_in(tmp_path: Path) -> None:
    file = tmp_path / "wrong.py"
    file.write_text(
        PLUGIN.replace("METHOD = Mine", "")
        + """
    def trainable_parameters(self, shapes):
        return super().trainable_parameters(shapes) + 1

    def save(self, adapted, folder):
        raise OSError("no space")

METHOD = Mine
"""
    )
    line = 1 + file.read_text().splitlines().index('        raise OSError("no space")')
    said = peftbench("check-method", str(file), "--model", "tiny", "--json")
    assert said.returncode == 1, said.stderr
    found = {f["check"]: f for f in json.loads(said.stdout)["findings"]}
    failed = {name for name, one in found.items() if not one["passed"]}
    assert failed == {
        "count_is_the_closed_form",
        "saved_is_what_was_trained",
        "stores_only_what_it_needs",
        "works_in_bfloat16",
        "works_in_float16",
    }
    assert "the closed form says" in found["count_is_the_closed_form"]["detail"]
    detail = found["saved_is_what_was_trained"]["detail"]
    assert detail == f"OSError: no space in {file}, line {line}"
