"""The page of tasks is made from the tasks, and names them all."""

from __future__ import annotations

from pathlib import Path

import pytest
from recipes.pages.tasks import page

from peftbench import tasks

PAGE = (Path(__file__).parents[2] / "docs" / "tasks.md").read_text("utf-8")


def test_page_is_fresh() -> None:
    fresh = "make it again: python -m recipes.pages.tasks > docs/tasks.md"
    assert PAGE.strip() == page().strip(), fresh


@pytest.mark.parametrize("name", tasks.names())
def test_every_task_has_a_line_and_a_section(name: str) -> None:
    assert f"| [`{name}`](#{name}) |" in PAGE
    assert f"\n### {name}\n" in PAGE


def test_real_tasks_say_what_their_groups_are() -> None:
    for name in tasks.names():
        task = tasks.get(name)
        grouped = task.to_example(task.example_row).group is not None
        assert bool(task.grouped_by) == grouped, name
