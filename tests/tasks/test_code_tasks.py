"""Reading programs out of answers, and the tests that come with problems."""

from __future__ import annotations

import json
import sys

import pytest

from peftbench import tasks
from peftbench.errors import DataError
from peftbench.spec.facts import LeftOut
from peftbench.tasks._data import task_data
from peftbench.tasks._programs import ProgramTests, parse_tests, read_program
from peftbench.tasks._sources import SplitRows
from peftbench.tasks._task import Split

CODE = "def f(x):\n    return x"


@pytest.mark.parametrize(
    "raw",
    [
        CODE,
        f"\n{CODE}\n\n",
        f"```python\n{CODE}\n```",
        f"```\n{CODE}\n```",
        f"~~~py\n{CODE}\n~~~",
        f"``` python\n{CODE}\n```",
        f"````python\n{CODE}\n````",
        f"Here it is.\n\n```python\n{CODE}\n```\n\nIt returns `x`.\n",
        f"```python\n{CODE}",  # cut short by the bound on its length
        f"```bash\npip install everything-there-is\n```\n```python\n{CODE}\n```",
        f"```python\n{CODE}\n```\nand to try it:\n```python\nprint(f(1))\n```",
        f"```python\nf = 1\n```\n```python\n{CODE}\n```",
        f"- a list:\n  ```python\n  {CODE.replace(chr(10), chr(10) + '  ')}\n  ```",
        "    def f(x):\n        return x",
        "```Python\ndef f(x):\n    return x\n```",
    ],
)
def test_the_program_is_read_from_any_dress(raw: str) -> None:
    assert read_program(raw) == CODE


@pytest.mark.parametrize(
    ("raw", "program"),
    [
        ("", None),
        (" \n ", None),
        ("```python\n```", None),
        ("```", None),
        ("`x[0]`", "x[0]"),
        ("x[0]", "x[0]"),
        ("```print(1)```", "print(1)"),
        ("Use ```python print(1)``` for it", "print(1)"),
        ("```js\nalert(1)\n```", "alert(1)"),
        ("The answer is x[0].", "The answer is x[0]."),
        ("x = '```'", "x = '```'"),
        ("X = 1", "X = 1"),
    ],
)
def test_what_else_an_output_may_be(raw: str, program: str | None) -> None:
    assert read_program(raw) == program


def test_of_two_python_blocks_the_longer_counts_and_of_equal_ones_the_first() -> None:
    raw = "```python\na = 1\n```\n```python\nb = 2\n```\n```\nnot marked, and longer\n```"
    assert read_program(raw) == "a = 1"


def test_tests_of_a_script_are_text_also_where_they_are_lists_of_lines() -> None:
    tests = parse_tests('{"inputs": ["1\\n", ["1", "2"]], "outputs": ["1", ["x", 3]]}')
    assert tests == ProgramTests(call=None, inputs=("1\n", "1\n2"), outputs=("1", "x\n3"))


def test_tests_of_a_function_are_json() -> None:
    tests = parse_tests('{"fn_name": "f", "inputs": [[1, "a"]], "outputs": [[true]]}')
    assert tests == ProgramTests(call="f", inputs=('[1, "a"]',), outputs=("[true]",))


def test_numbers_with_more_digits_than_python_reads_are_kept() -> None:
    number = "7" * (sys.get_int_max_str_digits() + 10)
    tests = parse_tests(
        f'{{"fn_name": "f", "inputs": [[{number}]], "outputs": [{number}]}}'
    )
    assert tests is not None
    assert tests.inputs == (f"[{number}]",)
    assert sys.get_int_max_str_digits() < 10_000, "the limit is as it was"
    json.dumps(tests.to_json())


@pytest.mark.parametrize("text", ["", " ", "{}", '{"inputs": [], "outputs": []}'])
def test_no_tests_are_none(text: str) -> None:
    assert parse_tests(text) is None


def test_large_tests_are_left_out_from_the_first_that_does_not_fit() -> None:
    tests = ProgramTests(call=None, inputs=("1", "22", "3" * 9), outputs=("a", "b", "c"))
    assert tests.within(5).inputs == ("1", "22")
    assert tests.within(1).inputs == ("1",)
    assert tests.within(0).inputs == ("1",), "one is always kept"
    assert tests.within(99) == tests
    assert ProgramTests.from_json(tests.to_json()) == tests


ROW = dict(tasks.get("apps").example_row)


def apps(**changed: object) -> object:
    return tasks.get("apps").to_example({**ROW, **changed})


def test_apps_shows_starter_code_and_says_how_the_program_is_called() -> None:
    task = tasks.get("apps")
    called = '{"fn_name": "double", "inputs": [[1]], "outputs": [2]}'
    example = task.to_example({**ROW, "starter_code": "def double(n):\n\t"})
    assert "\nComplete this code:\ndef double(n):\nAnswer with" in example.prompt
    example = task.to_example({**ROW, "input_output": called})
    assert "\nWrite a function named double.\n" in example.prompt
    assert "standard input" not in example.prompt


def test_apps_trains_on_up_to_four_solutions_and_prefers_those_that_compile() -> None:
    task = tasks.get("apps")
    written = ["print 'two'", "a = 1", "a = 1", "return", *(f"b = {i}" for i in range(9))]
    example = task.to_example({**ROW, "solutions": json.dumps(written)})
    assert example.references == ("a = 1", "b = 0", "b = 1", "b = 2")
    assert example.target == example.completion == "a = 1"
    assert task.expand is not None
    expanded = task.expand(example)
    assert [one.completion for one in expanded] == list(example.references)
    assert {one.prompt for one in expanded} == {example.prompt}
    only_old = task.to_example({**ROW, "solutions": '["print 1"]'})
    assert only_old.references == ("print 1",)


@pytest.mark.parametrize("field", ["solutions", "input_output"])
def test_apps_fields_that_are_no_json_are_refused(field: str) -> None:
    with pytest.raises(DataError, match=f"'{field}' must be"):
        apps(**{field: "{not json"})


class _Rows:
    description, identity, splits = "rows", "rows", ("train", "test")

    def __init__(self, **rows: list[dict[str, object]]) -> None:
        self.rows = rows

    def read(self, split: Split) -> SplitRows:
        return SplitRows(rows=self.rows[split], origin=split)

    def read_further(self, test: str) -> SplitRows | None:
        return None


def test_apps_rows_that_a_split_cannot_use_are_left_out_and_counted() -> None:
    train = [{**ROW, "question": f"Problem {i}."} for i in range(20)]
    train[3]["solutions"] = ""
    train[4]["solutions"] = "[]"
    train[5]["input_output"] = ""  # trains all the same
    test = [{**ROW, "question": f"Test {i}."} for i in range(4)]
    test[0]["input_output"] = ""
    test[1]["solutions"] = ""  # is scored all the same
    data = task_data("apps", tasks.get("apps"), _Rows(train=train, test=test), {})
    assert data.left_out == (
        LeftOut(split="train", reason="without a solution", count=2),
        LeftOut(split="test", reason="without tests", count=1),
    )
    assert len(data.examples["train"]) + len(data.examples["validation"]) == 18
    assert data.examples["test"][0].target == ""
    with pytest.raises(DataError, match="no row of the test split can be used"):
        task_data("apps", tasks.get("apps"), _Rows(train=train, test=test[:1]), {})


def test_conala_falls_back_to_the_title_where_the_intent_was_not_rewritten() -> None:
    task = tasks.get("conala")
    row = {**task.example_row, "rewritten_intent": None}
    assert "Question: How to turn a list round?\n" in task.to_example(row).prompt
    assert task.to_example(task.example_row).group == "101"


@pytest.mark.parametrize("name", ["conala", "codealpacapy", "apps"])
def test_tasks_of_programs_read_programs_and_are_not_lower_cased(name: str) -> None:
    task = tasks.get(name)
    assert task.read_answer("```python\nX = F(1)\n```\nThat is it.") == "X = F(1)"
    assert task.read_answer(" ") is None


def test_apps_checkpoints_are_chosen_without_running_programs() -> None:
    from peftbench.evaluation import metrics

    task = tasks.get("apps")
    assert metrics.get(task.headline).runs_programs
    assert not metrics.get(task.validation_metric).runs_programs
