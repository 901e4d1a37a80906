"""From a file, a suite's name and `--set` to a benchmark, or to an error that helps."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from peftbench.errors import InvalidSpec, UnknownName
from peftbench.spec import Benchmark, read_benchmark, suite_names
from peftbench.spec.read import override, spec_text, yaml_mapping

SPEC = """\
models: [tiny]
methods: [base, {name: lora, training: {learning_rate: 1e-3}}]
tasks: [generated_mood]
"""


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(SPEC, "utf-8")
    return path


def test_a_file_is_read_and_named_after_itself(spec: Path) -> None:
    assert read_benchmark(spec) == read_benchmark(str(spec))
    assert read_benchmark(spec).name == "mine"


def test_the_name_in_the_file_goes_before_the_name_of_the_file(spec: Path) -> None:
    spec.write_text(SPEC + "name: other\n", "utf-8")
    assert read_benchmark(spec).name == "other"


def test_a_number_may_have_an_exponent_without_a_point(spec: Path) -> None:
    """YAML 1.1 reads 1e-3 as text; people mean a number."""
    assert read_benchmark(spec).methods[1].training.learning_rate == 1e-3


def test_there_are_suites_and_each_is_a_benchmark_of_its_own_name() -> None:
    assert "quickstart" in suite_names()
    for name in suite_names():
        assert read_benchmark(name).name == name


def test_a_byte_order_mark_does_no_harm(spec: Path) -> None:
    spec.write_bytes(b"\xef\xbb\xbf" + SPEC.encode())
    assert read_benchmark(spec).tasks == ("generated_mood",)


def test_text_that_is_not_utf8_is_refused_with_the_byte(spec: Path) -> None:
    spec.write_bytes(SPEC.encode() + "description: café".encode("latin-1"))
    with pytest.raises(
        InvalidSpec, match=rf"mine.yaml is not UTF-8 .*byte {len(SPEC) + 16}"
    ):
        read_benchmark(spec)


#: Each holds the one before it ten times: under a kilobyte that stands for gigabytes, and one
#: that takes minutes to merge.
LISTS = "a0: &a0 [x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 10)
)
MERGES = "a0: &a0 {x: 1}\n" + "".join(
    f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 10)}]}}\n" for i in range(1, 10)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("models: [tiny\ntasks: [x]", "line 2"),
        ("a: b\n  c: d", "line 2"),
        ("name: 'x", "line 1"),
        ("a: *nobody", "undefined alias"),
        ("a: \0", "not valid YAML"),
        ("{[]: 1}: 2", "not valid YAML"),
        ("a: !!python/object:os.system x", "line 1"),
        ("[" * 5000, "nested too deep"),
        ("a: !!binary aGVsbG8=", "line 1"),
        ("seeds: !!set {1, 2}", "line 1"),
        ('a: "\\ud800"', "half of a character"),
        ("seeds: [.nan]", "nan is no number"),
        ("seeds: [1.0e+200]", "no number that can be kept"),
        (f"seeds: [{10**400}]", "a whole number of 401 digits"),
        ("seeds: [1_0]", "1_0 is no number"),
        ("a: &a [*a]", "an anchor stands for a part of itself"),
        (LISTS, "more than 100,000 values"),
        (MERGES, "more than 100,000 values"),
    ],
)
def test_broken_yaml_is_refused_and_the_place_is_named(
    spec: Path, text: str, message: str
) -> None:
    spec.write_text(text, "utf-8")
    with pytest.raises(InvalidSpec, match=message) as caught:
        read_benchmark(spec)
    assert "mine.yaml is not valid YAML" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "found"), [("", "NoneType"), ("- a", "list"), ("hello", "str"), ("3", "int")]
)
def test_a_file_that_holds_no_mapping_is_refused(spec: Path, text: str, found: str) -> None:
    spec.write_text(text, "utf-8")
    with pytest.raises(InvalidSpec, match=f"must hold a mapping .*; found {found}"):
        read_benchmark(spec)


def test_the_message_names_the_file(spec: Path) -> None:
    spec.write_text(SPEC + "seeds: []\n", "utf-8")
    with pytest.raises(InvalidSpec, match=f"{spec} has 1 wrong field"):
        read_benchmark(spec)


def test_a_file_that_is_not_there_is_called_a_file(tmp_path: Path) -> None:
    for path in (tmp_path / "no.yaml", tmp_path / "folder" / "no", "no.yml"):
        with pytest.raises(InvalidSpec, match=r"No spec file .*is the path right"):
            read_benchmark(path)


def test_a_folder_is_no_spec(tmp_path: Path) -> None:
    with pytest.raises(InvalidSpec, match="No spec file"):
        read_benchmark(tmp_path)


def test_a_name_that_is_no_suite_is_refused_with_the_nearest() -> None:
    with pytest.raises(
        UnknownName, match=r"Unknown suite 'quikstart'\. Did you mean 'quicks"
    ):
        read_benchmark("quikstart")


def test_dates_are_text_and_an_anchor_may_be_used_again(spec: Path) -> None:
    text = "description: 2024-13-45\nbudget: &b {epochs: 2}\n"
    assert yaml_mapping(text + "training: {<<: *b}", "x", Benchmark) == {
        "description": "2024-13-45",
        "budget": {"epochs": 2},
        "training": {"epochs": 2},
    }


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "mine.yaml")
    with pytest.raises(InvalidSpec, match="no regular file, but a folder, a pipe or a"):
        spec_text(tmp_path / "mine.yaml")
    with pytest.raises(InvalidSpec, match="/dev/zero is no regular file"):
        spec_text(Path("/dev/zero"))


def test_a_file_that_may_not_be_read_is_explained(
    spec: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(InvalidSpec, match=r"mine\.yaml cannot be read: Permission denied"):
        read_benchmark(spec)


@pytest.mark.parametrize(
    ("assignment", "expected"),
    [
        ("training.epochs=2", {"training": {"epochs": 2}}),
        ("training.learning_rate=1e-3", {"training": {"learning_rate": "1e-3"}}),
        ("seeds=[1, 2]", {"seeds": [1, 2]}),
        ("seeds=1", {"seeds": 1}),
        ("tasks=[]", {"tasks": []}),
        ("training.steps=null", {"training": {"steps": None}}),
        ("training.steps=", {"training": {"steps": None}}),
        ("training={epochs: 1}", {"training": {"epochs": 1}}),
        ("description=a=b", {"description": "a=b"}),
        ("keep_adapters=true", {"keep_adapters": True}),
    ],
)
def test_an_override_sets_one_field_to_a_yaml_value(
    assignment: str, expected: dict[str, Any]
) -> None:
    raw: dict[str, Any] = {}
    override(raw, assignment)
    assert raw == expected


def test_an_override_leaves_its_neighbours_alone(spec: Path) -> None:
    spec.write_text(SPEC + "training: {batch_size: 4, epochs: 9}\n", "utf-8")
    benchmark = read_benchmark(spec, ["training.epochs=2", "seeds=[5,7]", "limits.test=3"])
    assert benchmark.training.model_dump(exclude_unset=True) == {
        "batch_size": 4,
        "epochs": 2.0,
    }
    assert benchmark.seeds == (5, 7)
    assert benchmark.limits.test == 3


def test_the_last_of_two_overrides_counts(spec: Path) -> None:
    benchmark = read_benchmark(spec, ["training.epochs=2", "training.epochs=4"])
    assert benchmark.training.epochs == 4


def test_an_override_can_take_a_setting_back(spec: Path) -> None:
    spec.write_text(SPEC + "training: {steps: 5}\n", "utf-8")
    assert read_benchmark(spec, ["training.steps=null"]).training.steps is None


def test_an_override_fills_a_section_that_was_left_empty(spec: Path) -> None:
    spec.write_text(SPEC + "training:\n", "utf-8")
    assert read_benchmark(spec, ["training.epochs=2"]).training.epochs == 2


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("training.epochs", "--set needs FIELD=VALUE, got 'training.epochs'"),
        ("=3", "--set needs FIELD=VALUE"),
        ("", "--set needs FIELD=VALUE"),
        ("training.epochs=[1", "the value is not valid YAML"),
        ("description=[.inf]", "the value is not valid YAML"),
        ("tasks.0=rte", "tasks has no fields to set"),
        ("training.epochs.x=1", "training.epochs"),
        ("trainin.epochs=1", "trainin: unknown field; did you mean 'training'"),
        ("training.epoch=1", "training.epoch: unknown field; did you mean 'epochs'"),
        ("training.epochs=many", "training.epochs: .*got 'many'"),
        ("seeds=[1, 1]", "seeds: 1 stands there more than once"),
    ],
)
def test_a_wrong_override_is_explained(spec: Path, assignment: str, message: str) -> None:
    with pytest.raises(InvalidSpec, match=message):
        read_benchmark(spec, [assignment])


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=40), st.booleans())
def test_any_text_is_a_benchmark_or_a_clear_error(
    tmp_path_factory: pytest.TempPathFactory, text: str, after: bool
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    whole = SPEC + text if after else text
    path.write_bytes(whole.encode("utf-8", "surrogatepass"))
    with suppress(InvalidSpec):
        assert read_benchmark(path).tasks


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=20), st.text(max_size=20))
def test_any_override_is_taken_or_a_clear_error(field: str, value: str) -> None:
    raw: dict[str, Any] = yaml.safe_load(SPEC)
    with suppress(InvalidSpec):
        assignment = f"{field}={value}"
        override(raw, assignment)
        assert assignment.partition("=")[0].partition(".")[0] in raw


def test_repeated_key_is_refused_with_its_line(tmp_path: Path) -> None:
    spec = tmp_path / "twice.yaml"
    spec.write_text("models: [tiny]\nseeds: [1]\nseeds: [2]\n")
    with pytest.raises(InvalidSpec, match=r"'seeds' stands there twice[\s\S]*line 3"):
        read_benchmark(spec)
