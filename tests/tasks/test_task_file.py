"""A task from ten lines of YAML is the same as one written in Python."""

from __future__ import annotations

import csv
import json
import math
import os
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from peftbench import tasks
from peftbench.catalogue import PLUGINS_VARIABLE
from peftbench.errors import DataError, InvalidSpec
from peftbench.planning.plan import make_plan
from peftbench.spec import from_mapping, read_benchmark
from peftbench.tasks._data import TaskData, load_task_data
from peftbench.tasks._task_file import task_from_file
from peftbench.tasks._template import Template

EXAMPLE = Path(__file__).parents[2] / "examples" / "own-task" / "reviews.yaml"

GOOD = {
    "data": "rows.csv",
    "prompt": "Review: {text}\nAnswer:",
    "answer": "stars",
    "labels": {0: "bad", 1: "good"},
    "group": "film",
}
ROWS = [
    {"text": f"it was number {i}", "stars": i % 2, "film": f"film {i // 3}"}
    for i in range(60)
]


@pytest.fixture(autouse=True)
def _no_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PLUGINS_VARIABLE, "")


def write_rows(path: Path, rows: list[dict[str, Any]] = ROWS) -> Path:
    if path.suffix == ".parquet":
        import pyarrow
        import pyarrow.parquet

        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    elif path.suffix in (".csv", ".tsv"):
        import pandas as pd

        pd.DataFrame(rows).to_csv(
            path, sep="\t" if path.suffix == ".tsv" else ",", index=False
        )
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def task_file(folder: Path, name: str = "my_reviews", **changes: Any) -> Path:
    path = folder / f"{name}.yaml"
    described = {**GOOD, **changes}
    path.write_text(yaml.safe_dump({k: v for k, v in described.items() if v is not None}))
    return path


def load(path: Path, data_dir: Path | None = None) -> TaskData:
    return load_task_data(tasks.use(str(path)), data_dir=data_dir, limits={})


class TestOneFile:
    @pytest.mark.parametrize("name", ["r.csv", "r.tsv", "r.jsonl", "r.parquet"])
    def test_every_format_gives_the_same_examples(self, tmp_path: Path, name: str) -> None:
        write_rows(tmp_path / name)
        data = load(task_file(tmp_path, data=name))
        every = [e for split in tasks.SPLITS for e in data.examples[split]]
        assert len(every) == 60
        prompts = {e.prompt: e.target for e in every}
        assert prompts["Review: it was number 7\nAnswer:"] == "good"
        assert data.task.labels == ("bad", "good")
        assert data.task.metrics == ("accuracy", "macro_f1")

    def test_splits_are_cut_by_group_and_the_same_every_time(self, tmp_path: Path) -> None:
        write_rows(tmp_path / "rows.csv")
        data = load(task_file(tmp_path))
        assert {s: len(rows) for s, rows in data.examples.items()} == {
            "train": 45, "validation": 3, "test": 12
        }  # fmt: skip
        assert not any(data.shared_groups.values())
        assert load(task_file(tmp_path)).examples == data.examples

    def test_share_of_the_test_split_is_a_choice(self, tmp_path: Path) -> None:
        write_rows(tmp_path / "rows.csv")
        path = task_file(tmp_path, data={"file": "rows.csv", "test_fraction": 0.5})
        assert len(load(path).examples["test"]) == 30

    def test_data_folder_of_other_tasks_does_no_harm(self, tmp_path: Path) -> None:
        write_rows(tmp_path / "rows.csv")
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        assert load(task_file(tmp_path), elsewhere).source == "folder"


class TestSplitFiles:
    def test_files_for_the_splits(self, tmp_path: Path) -> None:
        write_rows(tmp_path / "a.csv", ROWS[:40])
        write_rows(tmp_path / "b.jsonl", ROWS[40:])
        data = load(task_file(tmp_path, data={"train": "a.csv", "test": "b.jsonl"}))
        assert len(data.examples["test"]) == 20
        assert len(data.examples["train"]) + len(data.examples["validation"]) == 40

    def test_hub_dataset_is_pinned(self, tmp_path: Path) -> None:
        hub = {"hub": "me/reviews", "revision": "a" * 40, "train": "train", "test": "test"}
        task = task_from_file(task_file(tmp_path, data=hub))
        assert (task.hub_id, task.revision) == ("me/reviews", "a" * 40)
        assert dict(task.splits) == {"train": "train", "test": "test"}


class TestFreeAnswers:
    def test_number_is_read_as_a_number(self, tmp_path: Path) -> None:
        rows = [{"q": f"{i} + 1?", "a": f"{i + 1}"} for i in range(40)]
        write_rows(tmp_path / "rows.csv", rows)
        path = task_file(
            tmp_path, prompt="{q}", answer="a", labels=None, group=None, reads="number"
        )
        data = load(path)
        assert data.task.metrics == ("numeric_match",)
        assert data.task.labels == ()
        assert all(e.target == e.completion for e in data.examples["train"])

    def test_text_is_compared_as_text(self, tmp_path: Path) -> None:
        write_rows(
            tmp_path / "rows.csv", [{"q": f"x{i}", "a": f" y{i}"} for i in range(40)]
        )
        path = task_file(tmp_path, prompt="{q}", answer="a", labels=None, group=None)
        data = load(path)
        assert data.task.metrics == ("exact_match", "token_f1")
        assert data.examples["train"][0].target.startswith("y")

    @pytest.mark.parametrize("answer", ["none", "1/2", "3e5", "1.234,56", "1 000"])
    def test_answer_without_a_number_is_refused(self, tmp_path: Path, answer: str) -> None:
        write_rows(tmp_path / "rows.csv", [{"q": "x", "a": answer}])
        path = task_file(
            tmp_path, prompt="{q}", answer="a", labels=None, group=None, reads="last_number"
        )
        with pytest.raises(DataError, match=r"rows\.csv:2.*finds no number"):
            load(path)


class TestIdentity:
    def test_cell_holds_the_digests_of_file_and_rows(self, tmp_path: Path) -> None:
        def cell(path: Path) -> Any:
            spec = {
                "name": "a",
                "models": ["tiny"],
                "methods": ["base"],
                "tasks": [str(path)],
            }
            return make_plan(from_mapping(spec)).cells[0].cell

        write_rows(tmp_path / "rows.csv")
        path = task_file(tmp_path)
        first = cell(path)
        assert first.task.name == "my_reviews"
        assert cell(path).id == first.id
        task_file(tmp_path, prompt="Other: {text}\nAnswer:")
        reworded = cell(path)
        assert reworded.task.source != first.task.source
        assert reworded.task.data == first.task.data
        task_file(tmp_path)
        write_rows(tmp_path / "rows.csv", ROWS[:-1])
        assert cell(path).task.data != first.task.data

    def test_workers_find_it_through_the_environment(self, tmp_path: Path) -> None:
        path = task_file(tmp_path)
        assert tasks.use(str(path)) == "my_reviews"
        assert tasks.use(str(path)) == "my_reviews"
        assert os.environ[PLUGINS_VARIABLE] == str(path)
        assert "my_reviews" in tasks.names()

    def test_two_tasks_of_one_name_are_refused(self, tmp_path: Path) -> None:
        write_rows(tmp_path / "rows.csv")
        tasks.use(str(task_file(tmp_path, name="sst2")))
        with pytest.raises(InvalidSpec, match="Two tasks are called 'sst2'"):
            tasks.get("sst2")

    def test_paths_in_a_spec_are_relative_to_it(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "sub").mkdir()
        write_rows(tmp_path / "sub" / "rows.csv")
        task_file(tmp_path / "sub")
        spec = {"models": ["tiny"], "methods": ["base"], "tasks": ["sub/my_reviews.yaml"]}
        (tmp_path / "spec.yaml").write_text(yaml.safe_dump(spec))
        monkeypatch.chdir(tmp_path.parent)
        read = read_benchmark(tmp_path / "spec.yaml")
        assert make_plan(read).cells[0].cell.task.name == "my_reviews"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"promt": "x"}, "promt: unknown field; did you mean 'prompt'"),
        ({"prompt": None}, "prompt: missing"),
        ({"data": None}, "data: missing"),
        ({"data": {"train": "a.csv"}}, "give one `file`, or both `train` and `test`"),
        ({"data": {"file": "a.csv", "test": "b.csv"}}, "not both"),
        ({"data": {"hub": "a/b", "train": "x", "test": "y"}}, "needs its `revision`"),
        (
            {"data": {"hub": "a/b", "revision": "main", "train": "x", "test": "y"}},
            "revision: string should match",
        ),
        ({"data": {"file": "a.csv", "subset": "x"}}, "only a `hub` dataset has a `subset`"),
        ({"data": "gone.csv"}, r"no file .*gone\.csv. Paths are relative"),
        ({"data": "rows.xlsx"}, r"rows\.xlsx ends in none of \.jsonl"),
        ({"labels": {0: False, 1: True}}, "put it in quotes"),
        ({"labels": {0: "bad", 1: "bad"}}, "two words that differ"),
        ({"labels": {1: "bad", "1": "good"}}, "key '1' stands there twice"),
        ({"labels": {0: " bad", 1: "good"}}, "blanks around it"),
        ({"labels": {"a": "x"}}, "two words that differ"),
        ({"reads": "number"}, "labels are read as labels"),
        ({"prompt": "{text"}, "written twice"),
        ({"prompt": "}"}, "written twice"),
        ({"prompt": "{}"}, "is not the name of a column"),
        ({"prompt": "{text!r}"}, "is not the name of a column"),
        ({"prompt": "{text:>9}"}, "is not the name of a column"),
    ],
)
def test_mistakes_in_the_file_are_named(
    tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    write_rows(tmp_path / "rows.csv")
    with pytest.raises(InvalidSpec, match=words) as caught:
        task_from_file(task_file(tmp_path, **changes))
    assert "my_reviews.yaml" in str(caught.value)


@pytest.mark.parametrize("text", ["[1, 2]", "a: 1\na: 2", "{", "\x00"])
def test_what_is_no_mapping_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(text)
    with pytest.raises(InvalidSpec, match=r"x\.yaml"):
        task_from_file(path)


def test_path_that_leads_nowhere_is_refused() -> None:
    with pytest.raises(InvalidSpec, match="No task file"):
        tasks.use("nowhere/gone.yaml")


def test_file_without_a_usable_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidSpec, match="Rename the file"):
        task_from_file(task_file(tmp_path, name="my reviews"))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"prompt": "{txt}"},
            "no field 'txt' \\(did you mean 'text'\\?\\); found text, stars",
        ),
        ({"answer": "star"}, "no field 'star' \\(did you mean 'stars'"),
        ({"group": "movie"}, "no field 'movie'; found"),
        ({"labels": {5: "bad", 6: "good"}}, "'stars' is '0'; allowed: '5' \\(bad\\)"),
    ],
)
def test_columns_and_values_that_are_not_there(
    tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    write_rows(tmp_path / "rows.csv")
    with pytest.raises(DataError, match=rf"rows\.csv:2: .*{words}"):
        load(task_file(tmp_path, **changes))


def test_csv_with_a_value_too_many_is_named(tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.csv")
    with (tmp_path / "rows.csv").open("a") as file:
        file.write("a, b,1,film 1\n")
    with pytest.raises(DataError, match=r"rows\.csv:62 has not as many values"):
        load(task_file(tmp_path))


@pytest.mark.parametrize("name", ["rows.csv", "rows.tsv", "rows.jsonl", "rows.parquet"])
def test_column_named_twice_is_refused(tmp_path: Path, name: str) -> None:
    """Whichever of the two were read, the other would be lost without a word."""
    import pyarrow
    import pyarrow.parquet

    file = write_rows(tmp_path / name)
    if name == "rows.parquet":
        table = pyarrow.parquet.read_table(file).rename_columns(["text", "stars", "text"])
        pyarrow.parquet.write_table(table, file)
    else:
        file.write_text(file.read_text().replace("film", "text", 1))
    said = rf"{name}(:1)? names the (column|field) 'text' twice"
    with pytest.raises(DataError, match=said):
        load(task_file(tmp_path, data=name, group=None))


def test_columns_without_a_name_are_no_column_named_twice(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("text,stars,,\n" + "".join(f"n {i},{i % 2},,\n" for i in range(20)))
    assert load(task_file(tmp_path, group=None)).examples["train"]


def test_csv_fields_of_any_length_are_read(tmp_path: Path) -> None:
    long = "word " * 40_000
    write_rows(tmp_path / "rows.csv", [*ROWS, {"text": long, "stars": 1, "film": "long"}])
    before = csv.field_size_limit()
    every = load(task_file(tmp_path)).examples.values()
    assert any(long.strip() in example.prompt for split in every for example in split)
    assert csv.field_size_limit() == before, "the limit is the whole process's"


@pytest.mark.parametrize("value", [b"\xff", math.nan, None])
def test_value_that_is_no_text_is_named_with_file_row_and_column(
    tmp_path: Path, value: Any
) -> None:
    rows = [{**row, "film": b"a" if value == b"\xff" else 1.0} for row in ROWS]
    rows[4]["film"] = value
    write_rows(tmp_path / "rows.parquet", rows)
    path = task_file(tmp_path, data="rows.parquet", prompt="{text} {film}", group=None)
    row = 1 if isinstance(value, bytes) else 5
    with pytest.raises(DataError, match=rf"rows\.parquet, row {row}: 'film' must be text"):
        load(path)


class TestTemplate:
    def test_no_attribute_is_looked_up(self) -> None:
        template = Template.parse("{text.__class__}")
        assert template.columns == ("text.__class__",), "a column of that odd name"
        assert template.render({"text.__class__": "fine"}) == "fine"

    def test_values_are_not_read_as_templates(self) -> None:
        assert Template.parse("{a}").render({"a": "{b} {{"}) == "{b} {{"

    @given(st.text())
    def test_any_text_can_be_written(self, text: str) -> None:
        escaped = text.replace("{", "{{").replace("}", "}}")
        assert Template.parse(escaped).render({}) == text

    @pytest.mark.parametrize(
        ("value", "text"),
        [
            (True, "true"),
            (3, "3"),
            (2.5, "2.5"),
            (" a ", "a"),
            (Decimal("1.50"), "1.50"),
            (date(2024, 7, 26), "2024-07-26"),
        ],
    )
    def test_numbers_and_truth_are_text(self, value: Any, text: str) -> None:
        assert Template.parse("{x}").render({"x": value}) == text

    @pytest.mark.parametrize(
        "value",
        [None, ["a"], {"a": 1}, b"a", math.nan, -math.inf, Decimal("NaN"), object()],
    )
    def test_other_values_are_refused(self, value: Any) -> None:
        with pytest.raises(DataError, match="'x' must be text or a finite number; found"):
            Template.parse("{x}").render({"x": value})


def test_example_is_a_task_of_ten_lines_that_loads() -> None:
    lines = [line for line in EXAMPLE.read_text().splitlines() if not line.startswith("#")]
    assert len(lines) <= 10
    data = load(EXAMPLE)
    assert data.task.labels == ("praise", "complaint")
    assert sum(len(rows) for rows in data.examples.values()) == 40
    assert not any(leak.count for leak in data.leaks)
