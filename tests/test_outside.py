"""Another package brings a method, a task and a metric: installed, listed, run, identified."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

FILES = {
    "outside/__init__.py": "",
    "outside/narrow.py": '''
from dataclasses import dataclass
from peftbench.methods.lora import Lora

@dataclass(frozen=True, kw_only=True)
class Narrow(Lora):
    """LoRA of rank one (Nobody, 2026). Computes ``W x + (alpha / rank) B A x``."""
    rank: int = 1

METHOD = Narrow
''',
    "outside/letters.py": """
from dataclasses import replace
from peftbench.tasks.generated_sums import TASK as SUMS

TASK = replace(SUMS, description="sums, scored by another package", metrics=("nearness",))
""",
    "outside/scores.py": """
from peftbench.evaluation.metrics import Metric

def score(answers):
    rows = [float(p == t) for p, t in zip(answers.predicted, answers.targets)]
    return 0.25 + sum(rows) / len(rows) / 2

NEARNESS = Metric(score=score, unit="nearness")
""",
    "outside/broken.py": "METHOD = undefined\n",
    "outside-1.2.dist-info/METADATA": "Metadata-Version: 2.1\nName: outside\nVersion: 1.2\n",
    "outside-1.2.dist-info/entry_points.txt": """
[peftbench.methods]
narrow = outside.narrow
shattered = outside.broken

[peftbench.tasks]
letters = outside.letters:TASK

[peftbench.metrics]
nearness = outside.scores:NEARNESS
""",
}

SPEC = """
models: [tiny]
methods: [base, narrow]
tasks: [letters]
seeds: [1]
training: {steps: 3, batch_size: 4, validations: 1, max_length: 64}
limits: {train: 20, validation: 4, test: 8}
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder as pip leaves it: the package's files, and what it announces."""
    for name, text in FILES.items():
        path = tmp_path / "site" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "site"


def run(site: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        cwd=site.parent,
        env={**os.environ, "PYTHONPATH": path},
    )


def test_method_task_and_metric_of_another_package_are_run(site: Path) -> None:
    (site.parent / "outside.yaml").write_text(SPEC)
    done = run(
        site, "-m", "peftbench", "run", "outside.yaml", "--no-costs", "--store", "store",
        "--workers", "1",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    export = run(site, "-m", "peftbench", "export", "--store", "store", "-o", "out")
    assert export.returncode == 0, export.stderr
    lines = (site.parent / "out" / "records.jsonl").read_text().splitlines()
    records = {r["cell"]["method"]["name"]: r for r in map(json.loads, lines)}
    assert set(records) == {"base", "narrow"}
    score = records["narrow"]["scores"][0]
    assert (score["metric"], score["unit"]) == ("nearness", "nearness")
    assert 0.25 <= score["value"] <= 0.75
    source = records["narrow"]["cell"]["method"]["source"]
    assert source.startswith("outside 1.2 sha256:")
    assert records["narrow"]["cell"]["task"]["source"].startswith("outside 1.2 sha256:")
    assert records["base"]["cell"]["method"]["source"] is None
    metric = site / "outside" / "scores.py"
    metric.write_text(metric.read_text().replace("0.25 +", "0.125 +"))
    again = run(site, "-m", "peftbench", "rescore", "--store", "store")
    assert "2 changed, 0 the same, 0 not scored again" in again.stdout, again.stderr
    shown = run(site, "-m", "peftbench", "report", "--store", "store", "--format", "json")
    values = {
        e["method"]: e["interval"]["mean"] for e in json.loads(shown.stdout)["entries"]
    }
    assert values["narrow"] == score["value"] - 0.125
    assert "0 changed" in run(site, "-m", "peftbench", "rescore", "--store", "store").stdout


def test_another_version_or_another_text_is_another_method(site: Path) -> None:
    program = "from peftbench import methods; print(methods.CATALOGUE.source('narrow'))"
    first = run(site, "-c", program).stdout
    module = site / "outside" / "narrow.py"
    module.write_text(module.read_text() + "# edited\n")
    edited = run(site, "-c", program).stdout
    metadata = site / "outside-1.2.dist-info"
    text = (metadata / "METADATA").read_text().replace("1.2", "1.3")
    (metadata / "METADATA").write_text(text)
    metadata.rename(site / "outside-1.3.dist-info")
    renewed = run(site, "-c", program).stdout
    assert len({first, edited, renewed}) == 3
    assert renewed.startswith("outside 1.3 sha256:")


def test_a_broken_one_is_listed_with_its_line_and_hides_no_other(site: Path) -> None:
    listed = run(site, "-m", "peftbench", "list", "methods", "--json")
    rows = {row["name"]: row for row in json.loads(listed.stdout)}
    assert rows["narrow"]["Llama-3-8B"] == 2_621_440
    said = rows["shattered"]["paper"]
    assert "NameError: name 'undefined' is not defined" in said
    assert f"{site}/outside/broken.py, line 1" in said
    shown = run(site, "-m", "peftbench", "show-method", "shattered")
    assert shown.returncode == 2
    assert "line 1" in shown.stderr
    metrics = run(site, "-m", "peftbench", "list", "metrics", "--json")
    assert "nearness" in {row["name"] for row in json.loads(metrics.stdout)}
    tasks = run(site, "-m", "peftbench", "list", "tasks", "--json")
    assert "letters" in {row["name"] for row in json.loads(tasks.stdout)}
