"""The suites, and their names as names of groups of tasks."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from peftbench import tasks
from peftbench.errors import InvalidSpec
from peftbench.methods._build import build
from peftbench.planning.plan import make_plan
from peftbench.spec import from_mapping, read_benchmark, suite_names

GROUPS = ("glue", "superglue", "commonsense", "maths", "code")
REST: dict[str, Any] = {"name": "x", "models": ["tiny"], "methods": ["lora"]}


def asked(listed: object) -> tuple[str, ...]:
    return from_mapping({**REST, "tasks": listed}).tasks


def test_no_task_is_called_as_a_suite() -> None:
    assert not set(tasks.names()) & set(suite_names())


@pytest.mark.parametrize("name", suite_names())
def test_a_suite_is_named_after_its_file_and_names_what_there_is(name: str) -> None:
    suite = read_benchmark(name)
    assert suite.name == name
    assert suite.description
    for choice in suite.methods:
        build(choice)
    for task in suite.tasks:
        assert tasks.get(task).headline


def test_peft_bench_has_27_tasks_seven_methods_with_the_base_and_five_seeds() -> None:
    suite = read_benchmark("peft-bench")
    assert len(suite.tasks) == len(set(suite.tasks)) == 27
    assert {task for group in GROUPS for task in read_benchmark(group).tasks} == (
        set(suite.tasks) - {"mmlu"}
    )
    assert [method.name for method in suite.methods] == [
        "base", "lora", "ia3", "ln-tuning", "bitfit", "prompt-tuning", "p-tuning",
        "prefix-tuning",
    ]  # fmt: skip
    assert suite.seeds == (42, 123, 456, 789, 101112)


def test_the_small_suite_differs_from_the_whole_in_its_tasks_alone() -> None:
    whole, small = read_benchmark("peft-bench"), read_benchmark("peft-bench-small")
    changed = {"name": small.name, "description": small.description, "tasks": small.tasks}
    assert whole.model_copy(update=changed) == small
    assert set(small.tasks) < set(whole.tasks)
    for group in GROUPS:
        assert set(small.tasks) & set(read_benchmark(group).tasks)


def test_a_suite_runs_on_another_model() -> None:
    suite = read_benchmark("maths", ["models=[tiny]", "tasks=[generated_sums]"])
    assert len(make_plan(suite).cells) == 1 + 3 * 7


def test_the_name_of_a_suite_stands_for_its_tasks() -> None:
    maths = ("math_qa", "gsm8k", "svamp")
    assert asked("maths") == asked(["maths"]) == maths
    assert asked("svamp") == ("svamp",)
    assert asked(["sst2", "maths"]) == ("sst2", *maths)
    assert len(asked("peft-bench")) == 27


def test_a_task_that_two_names_bring_in_is_there_once() -> None:
    assert asked(["maths", "svamp"]) == ("math_qa", "gsm8k", "svamp")
    assert asked(["svamp", "maths"]) == ("svamp", "math_qa", "gsm8k")
    assert asked(["maths", "maths"]) == ("math_qa", "gsm8k", "svamp")
    assert len(asked(["peft-bench", "glue"])) == 27


def test_a_task_that_is_named_twice_itself_is_still_refused() -> None:
    with pytest.raises(InvalidSpec, match="svamp stands there more than once"):
        asked(["svamp", "svamp", "maths"])


@pytest.mark.parametrize("wrong", [[], [1], None, {"glue": 1}])
def test_what_is_no_list_of_names_is_refused(wrong: object) -> None:
    with pytest.raises(InvalidSpec, match="tasks"):
        asked(wrong)


def test_the_table_of_suites_is_that_of_the_code() -> None:
    text = (Path(__file__).parents[2] / "docs" / "spec.md").read_text("utf-8")
    table = dict(re.findall(r"^\| `([\w-]+)` \| (`.*) \|$", text, re.MULTILINE))
    for name in (*GROUPS, "peft-bench-small"):
        listed = re.findall(r"`(\w+)`", table[name])
        assert tuple(listed) == read_benchmark(name).tasks
