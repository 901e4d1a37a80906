"""A report of results whose task, method and metric are not installed is right all the same:
what it needs of them is in the records."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from command_line import peftbench

FILES = {
    "others/__init__.py": "",
    "others/careful.py": '''
from dataclasses import dataclass
from peftbench.methods.lora import Lora

@dataclass(frozen=True, kw_only=True)
class Careful(Lora):
    """LoRA that takes care (Nobody, 2026). Computes ``W x + (alpha / rank) B A x``."""

METHOD = Careful
''',
    "others/dictation.py": """
from dataclasses import replace
from peftbench.tasks.generated_sums import TASK as SUMS

TASK = replace(SUMS, description="words that are heard", metrics=("word_error_rate",))
""",
    "others/scores.py": """
from peftbench.evaluation.metrics import Metric

def score(answers):
    rows = [float(p != t) for p, t in zip(answers.predicted, answers.targets)]
    return sum(rows) / len(rows)

ERRORS = Metric(score=score, unit="fraction wrong", better="lower", lowest=0.0, highest=1.0)
""",
    "others-1.dist-info/METADATA": "Metadata-Version: 2.1\nName: others\nVersion: 1\n",
    "others-1.dist-info/entry_points.txt": """
[peftbench.methods]
careful = others.careful

[peftbench.tasks]
dictation = others.dictation:TASK

[peftbench.metrics]
word_error_rate = others.scores:ERRORS
""",
}

#: Two methods on the task: one is wrong on one word in ten, the other on four.
MAKE = """
import sys
from pathlib import Path
from peftbench import tasks
from peftbench.evaluation.metrics import Answers
from peftbench.evaluation.score import grade, task_facts
from peftbench.methods._build import about
from peftbench.spec import CellMethod, CellTask, Grade, Training
from peftbench.store import Graded, PlannedCell, Predicted, Store, Trained
sys.path.insert(0, {tests!r})
from store.parts import cell, manifest

task, store, planned = tasks.get("dictation"), Store.open(Path("store")), []
for name, wrong in (("lora", 4), ("careful", 1)):
    asked = cell().model_copy(
        update=dict(
            method=CellMethod(name=name, parameters=dict()),
            task=CellTask(name="dictation", version=1, data="sha256:0"),
            training=Training(),
        )
    )
    words = [str(place) for place in range(10)]
    answers = Answers(predicted=["?"] * wrong + words[wrong:], targets=words)
    graded = Graded(scores=grade(task, answers).scores)
    step = Grade(predictions=asked.id, metrics=task.metrics, scorer="")
    store.results.commit(None, asked.train, Trained(manifest=manifest()))
    store.results.commit(None, asked.predict(), Predicted())
    store.results.commit(None, step, graded)
    planned.append(
        PlannedCell(
            cell=asked, model="tiny", label=name, task=task_facts(task),
            method=about(asked.method),
        )
    )
store.add_benchmark("heard", origin="test", spec=dict(name="heard"), cells=planned)
"""

SHOW = """
import json
from pathlib import Path
from peftbench import api, tasks
from peftbench.report import FORMATS
from peftbench.store import Store
found = api.results(Store.open(Path("store"), create=False))
print(json.dumps([{name: found.render(name) for name in FORMATS}, "dictation" in tasks.names()]))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        path = tmp_path / "site" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def ask(folder: Path, *arguments: str) -> Any:
    """What a command says as JSON, without the plug-in."""
    done = peftbench(*arguments, "--store", "store", "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def run(folder: Path, program: str, *, is_installed: bool) -> str:
    path = os.environ.get("PYTHONPATH", "")
    if is_installed:
        path = os.pathsep.join([str(folder / "site"), path])
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_an_error_rate_is_ranked_the_right_way_with_and_without_its_plug_in(
    folder: Path,
) -> None:
    tests = str(Path(__file__).parent)
    run(folder, MAKE.replace("{tests!r}", repr(tests)), is_installed=True)
    shown, is_known = json.loads(run(folder, SHOW, is_installed=True))
    bare, is_known_there = json.loads(run(folder, SHOW, is_installed=False))
    assert (is_known, is_known_there) == (True, False)
    assert bare == shown, "in every format"
    summary: dict[str, Any] = json.loads(bare["json"])
    [task] = summary["tasks"]
    assert (task["metric"], task["unit"], task["better"], task["description"]) == (
        "word_error_rate", "fraction wrong", "lower", "words that are heard"
    )  # fmt: skip
    assert [e["method"] for e in summary["entries"] if e["is_best"]] == ["careful"]
    found = {s["method"]: s for s in summary["standings"]}
    assert (found["careful"]["average_rank"], found["lora"]["average_rank"]) == (1, 2)
    assert found["careful"]["mean_score"] == pytest.approx(10)
    assert (summary["mean_better"], summary["no_mean"]) == ("lower", "")
    assert "lower score is the better one" in summary["no_pscp"]
    families = {m["label"]: m["family"] for m in summary["methods"]}
    assert families["careful"] == families["lora"] != ""
    assert "careful has the best average rank" in bare["md"]
    assert "**10.0**" in bare["md"]
    assert "(↓)" in bare["md"]
    [front] = ask(folder, "pareto", "--x", "average_rank")
    assert (front["y_better"], front["front"]) == ("lower", ["careful"])
    chosen = ask(folder, "recommend")
    assert (chosen["chosen"], chosen["better"]) == ("careful", "lower")
