"""A metric that cannot score a task is refused with it, before anything is computed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from peftbench import tasks
from peftbench.catalogue import PLUGINS_VARIABLE
from peftbench.errors import InvalidSpec
from peftbench.evaluation.fit import check_metrics, metric_troubles
from peftbench.planning.plan import make_plan
from peftbench.spec import from_mapping
from peftbench.tasks import Example, Task
from peftbench.tasks._task_file import task_from_file

LABELS = {"labels": ["good", "bad"]}
NUMBERS = {"reads": "number"}


@pytest.fixture(autouse=True)
def _no_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PLUGINS_VARIABLE, "")


def task_file(folder: Path, name: str = "mine", **fields: Any) -> Path:
    (folder / "rows.csv").write_text("text,kind\na,good\nb,bad\n")
    described = {"data": "rows.csv", "prompt": "{text}", "answer": "kind", **fields}
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(described))
    return path


def mine(folder: Path, **fields: Any) -> Task:
    return task_from_file(task_file(folder, **fields))


@pytest.mark.parametrize("name", tasks.names())
def test_the_metrics_of_all_tasks_fit(name: str) -> None:
    assert metric_troubles(tasks.get(name)) == []
    assert tasks.get(name).example_row


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({**LABELS, "metric": "pearson"}, "pearson cannot score answers such as 'good'"),
        ({**LABELS, "metric": ["accuracy", "spearman"]}, "spearman cannot score answers"),
        (
            {**LABELS, "metric": "pass_at_1"},
            "pass_at_1 runs programs, and the rows have no",
        ),
        (
            {**LABELS, "metric": "pass_at_5"},
            "pass_at_5 runs programs, and the rows have no",
        ),
        ({**LABELS, "metric": "numeric_match"}, "gives the right answer 'good' 0, not 1"),
        ({**LABELS, "metric": "f1a"}, "f1a needs rows with groups"),
        ({"metric": "matthews"}, "matthews cannot score answers such as 'some text'"),
        ({"metric": "macro_f1"}, "macro_f1 cannot score answers such as 'some text'"),
        ({"metric": "pearson"}, "pearson cannot score answers such as 'some text'"),
        ({**NUMBERS, "metric": "f1"}, "f1 cannot score answers such as '7'"),
        (
            {"labels": ["US", "us"], "metric": "exact_match"},
            "exact_match takes 'US' for 'us'",
        ),
        (
            {**LABELS, "group": "text", "metric": "question_exact_match"},
            "KeyError: 'question'",
        ),
    ],
)
def test_a_metric_that_does_not_fit_is_refused_with_those_that_do(
    tmp_path: Path, fields: dict[str, Any], words: str
) -> None:
    with pytest.raises(InvalidSpec, match=words) as caught:
        check_metrics("mine", mine(tmp_path, **fields))
    assert "accuracy" in str(caught.value).partition("Metrics that fit it:")[2]


@pytest.mark.parametrize(
    "fields",
    [
        {**LABELS, "metric": ["accuracy", "macro_f1", "matthews", "f1", "token_f1"]},
        {**LABELS, "group": "text", "metric": "f1a"},
        {"labels": ["1", "2", "3"], "metric": ["pearson", "spearman", "accuracy"]},
        {**NUMBERS, "metric": ["pearson", "numeric_match"]},
        {"metric": ["exact_match", "chrf", "format_error_rate"]},
    ],
)
def test_a_metric_that_fits_is_not_refused(tmp_path: Path, fields: dict[str, Any]) -> None:
    assert metric_troubles(mine(tmp_path, **fields)) == []


def test_rows_tell_what_a_description_does_not(tmp_path: Path) -> None:
    """Of a plug-in without an example of its own."""
    task = replace(mine(tmp_path, metric="pearson", reads="number"), example_row={})
    assert metric_troubles(task) == []
    rows = [Example(prompt="a", completion="good", target="good")]
    [trouble] = metric_troubles(task, rows)
    assert trouble.startswith("the metric pearson cannot score answers such as 'good'")


def test_a_plan_refuses_a_metric_that_does_not_fit(tmp_path: Path) -> None:
    path = task_file(tmp_path, "planned", **LABELS, metric="pearson")
    spec = {"name": "n", "models": ["tiny"], "methods": ["base"], "tasks": [str(path)]}
    with pytest.raises(InvalidSpec, match="planned: the metric pearson cannot score"):
        make_plan(from_mapping({**spec, "seeds": [1]}))
