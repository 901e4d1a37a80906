"""What models write, how it is read and what it is worth, by hand: `vectors/<task>.yaml`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from peftbench import tasks
from peftbench.evaluation import metrics
from peftbench.evaluation.metrics import Answers
from peftbench.tasks import Task

FOLDER = Path(__file__).parent / "vectors"
NAMES = [path.stem for path in sorted(FOLDER.glob("*.yaml"))]


@dataclass(frozen=True)
class Vector:
    """One row: what was written to a prompt with this target, and how that is read."""

    target: str
    output: str
    reads: str | None
    extra: dict[str, Any]
    group: str | None = None
    references: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """Rows of one task, and the scores that they have together."""

    task: str
    title: str
    rows: Sequence[Vector]
    scores: dict[str, float]


def tables(name: str) -> list[Table]:
    """The tables of a file. Its scalars are text: yes is no boolean, and ~ is None."""
    # The safe loader's parent: it makes nothing but texts, lists and mappings.
    content = yaml.load((FOLDER / f"{name}.yaml").read_text("utf-8"), yaml.BaseLoader)
    choices = content.pop("choices", None)
    return [
        Table(
            name,
            title,
            [_vector(row, choices) for row in table["rows"]],
            {metric: _number(text) for metric, text in table["scores"].items()},
        )
        for title, table in content.items()
    ]


def _vector(row: list[Any], choices: list[str] | None) -> Vector:
    target, output, reads, *rest = row
    more = rest[0] if rest else {}
    extra = {"choices": choices} if choices else {}
    extra |= {"question": more["question"]} if "question" in more else {}
    return Vector(
        target,
        output,
        None if reads == "~" else reads,
        extra,
        more.get("group"),
        tuple(more.get("references", ())),
    )


def _number(text: str) -> float:
    above, _, below = text.partition("/")
    return float(Fraction(above) / Fraction(below or 1))


def answers(task: Task, rows: Sequence[Vector]) -> Answers:
    return Answers(
        predicted=[task.read(row.output, row.extra) for row in rows],
        targets=[row.target for row in rows],
        labels=task.labels,
        groups=[row.group for row in rows],
        references=[row.references for row in rows],
        extras=[row.extra for row in rows],
    )


TABLES = [
    pytest.param(t, id=f"{t.task}: {t.title}") for name in NAMES for t in tables(name)
]


def test_every_real_task_has_vectors() -> None:
    programs = {"conala", "codealpacapy", "apps"}  # see tests/evaluation/
    real = {name for name in tasks.names() if not tasks.get(name).is_generated}
    assert set(NAMES) == real - programs


@pytest.mark.parametrize("name", NAMES)
def test_vectors_hold_what_models_get_wrong(name: str) -> None:
    """Constant, empty, fenced, spoken, with blanks and in other case."""
    found = tables(name)
    outputs = [row.output for table in found for row in table.rows]
    assert any(len({row.output for row in table.rows}) == 1 for table in found) or (
        name == "svamp"  # constant, but not to the letter: equations
    )
    assert any(not output.strip() for output in outputs)
    assert any("```" in output or "**" in output for output in outputs)
    assert any(len(output.split()) > 2 for output in outputs)
    assert any(output != output.strip() and output.strip() for output in outputs)
    assert any(row.reads is None for table in found for row in table.rows)


@pytest.mark.parametrize("table", TABLES)
def test_every_output_is_read_as_by_hand(table: Table) -> None:
    task = tasks.get(table.task)
    for row in table.rows:
        assert task.read(row.output, row.extra) == row.reads, row.output
        assert not task.labels or row.target in task.labels


@pytest.mark.parametrize("table", TABLES)
def test_every_score_is_that_by_hand(table: Table) -> None:
    task = tasks.get(table.task)
    assert set(table.scores) == {*task.metrics, "format_error_rate"}
    found = answers(task, table.rows)
    for metric, expected in table.scores.items():
        assert metrics.get(metric).score(found) == pytest.approx(expected, abs=1e-8), metric


def many(name: str, copies: int) -> list[Vector]:
    """All rows of a task's tables, again and again, each copy of a group of its own."""
    rows = [row for table in tables(name) for row in table.rows]
    return [
        replace(row, group=f"{row.group} {copy}") for copy in range(copies) for row in rows
    ]


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_one_malformed_output_moves_a_score_by_one_part_in_n(
    name: str, data: st.DataObject
) -> None:
    task = tasks.get(name)
    rows = many(name, 10)
    place = data.draw(st.integers(0, len(rows) - 1))
    output = data.draw(st.text() | st.sampled_from(["9" * 400, "nan", "-", "####", "()"]))
    changed = [*rows[:place], replace(rows[place], output=output), *rows[place + 1 :]]
    for metric in (*task.metrics, "format_error_rate"):
        score = metrics.get(metric).score
        moved = abs(score(answers(task, rows)) - score(answers(task, changed)))
        assert moved <= 12 / len(rows), (metric, output)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_the_order_of_rows_is_of_no_account(name: str, data: st.DataObject) -> None:
    task = tasks.get(name)
    rows = many(name, 1)
    shuffled = data.draw(st.permutations(rows))
    for metric in (*task.metrics, "format_error_rate"):
        score = metrics.get(metric).score
        expected = score(answers(task, rows))
        assert score(answers(task, shuffled)) == pytest.approx(expected, abs=1e-12)
